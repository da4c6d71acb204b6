"""The printed form of the well-known identities: as short as a textbook prints them.

Every row is also checked against numbers, so a short wrong formula cannot stand here.
"""

import pytest

import tensorcalculus as tc

NOTES = [
    # The classical list of the notes.
    ("u'*v", "u", {}, "v"),
    ("u'*v", "v", {}, "u"),
    ("A*x", "x", {}, "A"),
    ("x'*A", "x", {"A": "n m", "x": "n"}, "A'"),
    ("x'*A*x", "x", {}, "(A+A')*x"),
    ("x'*A*x", "x", {"A": "n n sym", "x": "n"}, "2*A*x"),
    ("x'*A*x", "A", {}, "x*x'"),
    ("tr(A)", "A", {"A": "n n"}, "eye(n)"),
    ("A*x", "A", {"A": "m n", "x": "n"}, "outer(eye(m),x)"),
    ("x'*x", "x", {}, "2*x"),
]

COOKBOOK = [
    # Petersen and Pedersen, The Matrix Cookbook (2012), section 2; numbers are its equations.
    ("det(X)", "X", {}, "det(X)*inv(X)'"),  # (49)
    ("det(A*X*B)", "X", {"A": "n n", "X": "n n", "B": "n n"}, "det(A)*det(B)*det(X)*inv(X)'"),
    ("det(X'*X)", "X", {}, "2*det(X'*X)*X*inv(X'*X)"),  # (53)
    ("log(det(X'*X))", "X", {}, "2*X*inv(X'*X)"),  # (55)
    ("log(abs(det(X)))", "X", {}, "inv(X)'"),  # (57)
    ("det(X)^k", "X", {}, "k*det(X)^k*inv(X)'"),  # (58)
    ("a'*inv(X)*b", "X", {}, "-inv(X)'*a*b'*inv(X)'"),  # (61)
    ("det(inv(X))", "X", {}, "-inv(X)'/det(X)"),  # (62)
    ("tr(A*inv(X)*B)", "X", {}, "-inv(X)'*A'*B'*inv(X)'"),  # (63)
    ("tr(inv(X+A))", "X", {}, "-inv(A+X)'^2"),  # (64)
    ("a'*X*b", "X", {}, "a*b'"),  # (70)
    ("a'*X'*b", "X", {}, "b*a'"),  # (71)
    ("a'*X*a", "X", {}, "a*a'"),  # (72)
    ("b'*X'*X*c", "X", {}, "X*(b*c'+c*b')"),  # (77)
    ("(B*x+b)'*C*(D*x+d)", "x", {}, "D'*C'*(B*x+b)+B'*C*(D*x+d)"),  # (78)
    ("b'*X'*D*X*c", "X", {}, "D'*X*b*c'+D*X*c*b'"),  # (82)
    ("(X*b+c)'*D*(X*b+c)", "X", {}, "(D+D')*(X*b+c)*b'"),  # (83)
    ("(x-A*s)'*W*(x-A*s)", "s", {"W": "m m sym", "x": "m", "A": "m n", "s": "n"},
     "-2*A'*W*(x-A*s)"),  # (84)
    ("(x-s)'*W*(x-s)", "x", {"W": "m m sym", "x": "m", "s": "m"}, "2*W*(x-s)"),  # (85)
    ("(x-A*s)'*W*(x-A*s)", "A", {"W": "m m sym", "x": "m", "A": "m n", "s": "n"},
     "-2*W*(x-A*s)*s'"),  # (88)
    ("tr(X)", "X", {"X": "n n"}, "eye(n)"),  # (99)
    ("tr(X*A)", "X", {}, "A'"),  # (100)
    ("tr(A*X*B)", "X", {}, "A'*B'"),  # (101)
    ("tr(A*X'*B)", "X", {}, "B*A"),  # (102)
    ("tr(X'*A)", "X", {}, "A"),  # (103)
    ("tr(X*X)", "X", {}, "2*X'"),  # (106)
    ("tr(X^2*B)", "X", {}, "X'*B'+B'*X'"),  # (107)
    ("tr(X'*B*X)", "X", {}, "(B+B')*X"),  # (108)
    ("tr(X*B*X')", "X", {}, "X*(B+B')"),  # (111)
    ("tr(X'*X)", "X", {}, "2*X"),  # (115)
    ("tr(X'*B*X*C)", "X", {}, "B*X*C+B'*X*C'"),  # (117)
    ("tr(A*X*B*X'*C)", "X", {}, "C*A*X*B+A'*C'*X*B'"),  # (118)
    ("tr(X^3)", "X", {}, "3*X'^2"),  # (121)
    ("tr(A*inv(X))", "X", {}, "-inv(X)'*A'*inv(X)'"),  # (124) with B = I
    ("norm2(x-a)", "x", {}, "(x-a)/norm2(x-a)"),  # (129)
    ("norm2(x)^2", "x", {}, "2*x"),  # (131)
    ("norm2(X)^2", "X", {}, "2*X"),  # (132)
    ("norm2(X)", "X", {}, "X/norm2(X)"),
]  # fmt: skip

STATISTICS = [
    ("norm2(X*w-y)^2", "w", {}, "2*X'*(X*w-y)"),
    ("norm2(X*W-Y)^2", "W", {}, "2*X'*(X*W-Y)"),
    ("norm2(X*w-y)^2+c*norm2(w)^2", "w", {"c": "", "X": "m n", "w": "n", "y": "m"},
     "2*(X'*(X*w-y)+c*w)"),
    ("sum(log(1+exp(-y.*(X*w))))", "w", {}, "-X'*(y.*sigmoid(-y.*(X*w)))"),
    ("sum(-y.*log(sigmoid(X*w))-(1-y).*log(1-sigmoid(X*w)))", "w", {}, "X'*(sigmoid(X*w)-y)"),
    ("sum(exp(X*w))-y'*X*w", "w", {}, "X'*(exp(X*w)-y)"),
    ("softmax(x)", "x", {}, "diag(s)-s*s' where s = softmax(x)"),
    ("log(sum(exp(x)))", "x", {}, "softmax(x)"),
    ("-y'*log(softmax(x))", "x", {}, "sum(y)*softmax(x)-y"),
    ("exp(x)/sum(exp(x))", "x", {}, "diag(s)-s*s' where s = softmax(x)"),
    ("norm2(T-U*V')^2", "U", {}, "-2*(T-U*V')*V"),
    ("norm2(T-U*V')^2", "V", {}, "-2*(T-U*V')'*U"),
    ("norm2(W.*(T-U*V'))^2", "U", {}, "-2*(W.^2.*(T-U*V'))*V"),
    ("logdet(S)+(x-u)'*inv(S)*(x-u)", "u", {"S": "n n spd", "x": "n", "u": "n"},
     "-2*inv(S)*(x-u)"),
    ("logdet(S)+(x-u)'*inv(S)*(x-u)", "S", {"S": "n n spd", "x": "n", "u": "n"},
     "inv(S)-inv(S)*(x-u)*(x-u)'*inv(S)"),
    ("logdet(X)", "X", {}, "inv(X)'"),
    ("norm2(T-cp(A,B,C))^2", "A", {"T": "i j k", "A": "i r", "B": "j r", "C": "k r"},
     "-2*unfold(T-cp(A,B,C),1)*khatrirao(C,B)"),
    ("norm2(T-cp(A,B,C))^2", "B", {"T": "i j k", "A": "i r", "B": "j r", "C": "k r"},
     "-2*unfold(T-cp(A,B,C),2)*khatrirao(C,A)"),
    ("norm2(T-tucker(G,A,B,C))^2", "A",
     {"T": "i j k", "G": "p q r", "A": "i p", "B": "j q", "C": "k r"},
     "-2*unfold(T-tucker(G,A,B,C),1)*kron(C,B)*unfold(G,1)'"),
    ("norm2(T-tucker(G,A,B,C))^2", "G",
     {"T": "i j k", "G": "p q r", "A": "i p", "B": "j q", "C": "k r"},
     "-2*tucker(T-tucker(G,A,B,C),A',B',C')"),
    ("norm2(X-X*W*W')^2", "W", {}, "-2*(X'*R+R'*X)*W where R = X-X*W*W'"),
    ("tanh(A*x)", "x", {}, "diag(1-tanh(A*x).^2)*A"),
    ("sum(exp(A*x))", "x", {}, "A'*exp(A*x)"),
    ("mean(x)", "x", {"x": "n"}, "ones(n)/n"),
    ("sum(M-X.*log(M)) where M = cp(A,B,C)", "A",
     {"X": "i j k", "A": "i r nonneg", "B": "j r nonneg", "C": "k r nonneg"},
     "unfold(1-X./cp(A,B,C),1)*khatrirao(C,B)"),
    ("sum(exp(M)-X.*M) where M = cp(A,B,C)", "B",
     {"X": "i j k", "A": "i r", "B": "j r", "C": "k r"},
     "unfold(exp(cp(A,B,C))-X,2)*khatrirao(C,A)"),
    ("norm2(W.*(T-cp(A,B,C)))^2", "C",
     {"W": "i j k", "T": "i j k", "A": "i r", "B": "j r", "C": "k r"},
     "-2*unfold(W.^2.*(T-cp(A,B,C)),3)*khatrirao(B,A)"),
    ("norm2(sigmoid(X*W+vector(1)*b')-Y)^2", "b", {"X": "m n"},
     "2*(S.*(S-Y).*(1-S))'*ones(m) where S = sigmoid(X*W+ones(m)*b')"),
    ("vec(A*reshape(x,n,m)'*B)", "x", {"A": "k m", "B": "n q"}, "kron(B',A)"),
    ("vec(inv(reshape(x,n,n)'))", "x", {"x": "n*n"}, "-kron(S,S') where S = inv(reshape(x,n,n))"),
    ("norm2(conv(x,k)-y)^2", "k", {}, "2*conv(x,conv(x,k)-y)"),
]  # fmt: skip

HESSIANS = [
    ("x'*A*x", "x", {}, "A+A'"),
    ("b'*inv(A+t*B)*b", "t", {"t": ""}, "2*b'*S*B*S*B*S*b where S = inv(A+t*B)"),
    ("norm2(X*w-y)^2", "w", {}, "2*X'*X"),
    ("sum(log(1+exp(X*w)))", "w", {}, "X'*diag(s.*(1-s))*X where s = sigmoid(X*w)"),
    ("sum(exp(X*w))-y'*X*w", "w", {}, "X'*diag(exp(X*w))*X"),
    ("log(sum(exp(x)))", "x", {}, "diag(s)-s*s' where s = softmax(x)"),
    ("-sum(log(b-A*x))", "x", {}, "A'*diag(1./(b-A*x).^2)*A"),
    ("tr(X'*A*X)", "X", {"X": "m n", "A": "m m"}, "reshape(kron(A+A',eye(n)),m,n,m,n)"),
    ("norm2(T-U*V')^2", "U", {"T": "m n", "U": "m k", "V": "n k"},
     "2*reshape(kron(eye(m),V'*V),m,k,m,k)"),
    ("norm2(T-cp(A,B,C))^2", "A", {"T": "i j k", "A": "i r", "B": "j r", "C": "k r"},
     "2*reshape(kron(eye(i),(B'*B).*(C'*C)),i,r,i,r)"),
    ("norm2(x)", "x", {"x": "n"}, "eye(n)/c-x*x'/c^3 where c = norm2(x)"),
    ("w'*S*w/2-c*u'*w", "w", {"S": "n n spd", "w": "n", "u": "n", "c": ""}, "S"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrt", "shapes", "expected"), NOTES + COOKBOOK + STATISTICS)
def test_first_derivative(text: str, wrt: str, shapes: dict, expected: str) -> None:
    f = tc.parse(text, **shapes)
    assert str(f.jacobian(wrt)) == expected
    f.check(wrt)


@pytest.mark.parametrize(("text", "wrt", "shapes", "expected"), HESSIANS)
def test_hessian(text: str, wrt: str, shapes: dict, expected: str) -> None:
    f = tc.parse(text, **shapes)
    assert str(f.hessian(wrt)) == expected
    f.check(wrt, order=2)


def test_differential_hvp_and_products_read_well() -> None:
    f = tc.parse("norm2(X*W-Y)^2")
    assert str(f.differential("W", "X")) == "2*(X*W-Y):(dX*W+X*dW)"
    k = tc.parse("kron(X,Y)")
    assert str(k.differential("X", "Y")) == "kron(X,dY)+kron(dX,Y)"
    g = tc.parse("norm2(T-U*V')^2")
    assert str(g.hvp("U", "D")) == "2*D*V'*V"
    h = tc.parse("tanh(A*x)")
    assert str(h.jvp(x="dx")) == "(A*dx).*(1-tanh(A*x).^2)"
    assert str(h.vjp(x="g")) == "A'*(g.*(1-tanh(A*x).^2))"
