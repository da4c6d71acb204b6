"""What is no formula: where errors point, limits of length and depth, how errors are shown."""

import pickle
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcalculus import errors
from tensorcalculus.errors import ParseError, caret, nearest
from tensorcalculus.notation.syntax import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_TERMS,
    MAX_TREE_DEPTH,
    Name,
    Num,
    Sum,
    parse_syntax,
    walk_names,
)

END = "the formula ends after "
DEFINITION = "a definition such as s = x'*x or (U, s, V) = svd(X)"
PRODUCTS = " (products are written with '*')"
EQUALS = " ('=' stands in a where-clause (s*x where s = x'*x) or before an option's value)"
STRINGS = " (a string stands only as an argument of a call)"
NOTHING = " (nothing stands before it to transpose; strings stand only in calls)"
FOREIGN = " is not part of the language"


@pytest.mark.parametrize(
    ("text", "marks", "message"),
    [
        # Nothing there, or nothing after an operator.
        ("", "^", "the formula is empty: expected an expression"),
        ("   ", "^", "the formula is empty: expected an expression"),
        ("x +", "  ^", f"{END}'+': expected an operand"),
        ("x .*  ", "  ^^", f"{END}'.*': expected an operand"),
        ("-", "^", f"{END}'-': expected an operand"),
        ("x:", " ^", f"{END}':': expected an operand"),
        ("x^", " ^", f"{END}'^': expected an operand"),
        # Operands and operators out of turn.
        ("x+*y", "  ^", "unexpected '*': expected an operand"),
        ("*y", "^", "unexpected '*': expected an expression"),
        ("x//y", "  ^", "unexpected '/': expected an operand"),
        ("x.^^y", "   ^", "unexpected '^': expected an operand"),
        ("x.*'", "   ^", f'unexpected "\'"{NOTHING}: expected an operand'),
        ("(')", " ^", f'unexpected "\'"{NOTHING}: expected an operand'),
        ("a+'b'", "  ^", f'unexpected "\'"{NOTHING}: expected an operand'),
        ("('abc')", " ^", f'unexpected "\'"{NOTHING}: expected an operand'),
        ('a+"bc"', "  ^^^^", f"unexpected '\"bc\"'{STRINGS}: expected an operand"),
        ('"bc"', "^^^^", f"unexpected '\"bc\"'{STRINGS}: expected an expression"),
        ('f(a, 1+"b")', "       ^^^", f"unexpected '\"b\"'{STRINGS}: expected an operand"),
        ("2x", " ^", f"unexpected 'x'{PRODUCTS}: expected an operator"),
        ("a bcd", "  ^^^", f"unexpected 'bcd'{PRODUCTS}: expected an operator"),
        ("(a)(b)", "   ^", f"unexpected '('{PRODUCTS}: expected an operator"),
        ("(a b)", "   ^", f"unexpected 'b'{PRODUCTS}: expected ')' or an operator"),
        ("f(a b)", "    ^", f"unexpected 'b'{PRODUCTS}: expected ',', ')' or an operator"),
        ("x' 0x1f", "   ^", f"unexpected '0'{PRODUCTS}: expected an operator"),
        ("a,b", " ^", "unexpected ',': expected an operator"),
        ("(a,b)", "  ^", "unexpected ',': expected ')' or an operator"),
        ("()", " ^", "unexpected ')' (the parentheses are empty): expected an operand"),
        ("f(a,)", "    ^", "unexpected ')': expected an argument"),
        ("f(,a)", "  ^", "unexpected ',': expected an argument"),
        ("f('a'+x)", "     ^", "unexpected '+': expected ',' or ')'"),
        ("[1,2]", "^", "unexpected '[' (matrices are given by name): expected an expression"),
        ("2*[1,2]", "  ^", "unexpected '[' (matrices are given by name): expected an operand"),
        # Brackets.
        ("f(a+(b*c)", " ^", "'(' is never closed"),
        ("x[0", " ^", "'[' is never closed"),
        ("a+b)", "   ^", "')' closes no bracket"),
        ("(a]", "^", "'(' is closed by ']': expected ')'"),
        ("f(x[0)", "   ^", "'[' is closed by ')': expected ']'"),
        # Indices.
        ("x[]", "  ^", "unexpected ']': expected an integer or a slice such as 0:2"),
        (
            "x[i]",
            "  ^",
            "unexpected 'i' (an index is an integer literal): "
            "expected an integer or a slice such as 0:2",
        ),
        ("x[0,]", "    ^", "unexpected ']': expected an integer or a slice such as 0:2"),
        ("x[0 1]", "    ^", "unexpected '1': expected ':', ',' or ']'"),
        ("x[0:*]", "    ^", "unexpected '*': expected an integer, ':', ',' or ']'"),
        ("x[1:2:3:4]", "       ^", "unexpected ':': expected ',' or ']'"),
        ("x[-]", "   ^", "unexpected ']': expected an integer"),
        ("x[1.5]", "  ^^^", "an index must be an integer"),
        ("x[0:1e2]", "    ^^^", "an index must be an integer"),
        ("x[0,::0]", " ^^^^^^^", "the step of a slice cannot be 0"),
        # '=' and where-clauses.
        ("s = x", "  ^", f"unexpected '='{EQUALS}: expected an operator"),
        ("f(2=3)", "   ^", f"unexpected '='{EQUALS}: expected ',', ')' or an operator"),
        ("(a=3)", "  ^", f"unexpected '='{EQUALS}: expected ')' or an operator"),
        ("where", "^^^^^", "unexpected 'where': expected an expression"),
        ("a+with", "  ^^^^", "unexpected 'with': expected an operand"),
        ("a where", "  ^^^^^", f"{END}'where': expected {DEFINITION}"),
        ("a where s", "        ^", f"{END}'s': expected '='"),
        ("a where s =", "          ^", f"{END}'=': expected an operand"),
        ("a where s=1,", "           ^", f"{END}',': expected {DEFINITION}"),
        ("a where 2=s", "        ^", f"unexpected '2': expected {DEFINITION}"),
        ("a where s t", "          ^", "unexpected 't': expected '='"),
        ("a where s+t=1", "         ^", "unexpected '+': expected '='"),
        ("a where f(x)=1", "         ^", "unexpected '(': expected '='"),
        ("a where (s t)=1", "           ^", "unexpected 't': expected ',' or ')'"),
        ("a where (s,2)=1", "           ^", "unexpected '2': expected a name"),
        ("a where s=b=c", "           ^", "unexpected '=': expected ',' or an operator"),
        (
            "a where s=1 with t=2",
            "            ^^^^",
            "unexpected 'with' (there is one where-clause; definitions are separated by ','): "
            "expected ',' or an operator",
        ),
        (
            "2*(a where s=1)",
            "     ^^^^^",
            "unexpected 'where' (a where-clause stands at the end of the whole formula): "
            "expected ')' or an operator",
        ),
        ("a where s=1, s=2", "             ^^^", "'s' is defined twice"),
        ("a where (s, s)=x", "        ^^^^^^^^", "'s' is defined twice"),
        # Calls.
        ("f(a=1, b+c)", "       ^^^", "an argument stands after an option"),
        ("f(a=1, a=2)", "       ^^^", "option 'a' is given twice"),
        ("f('abc)", "  ^", "the string is never closed"),
        ('f("abc\n")', "  ^", "the string is never closed"),
        # Characters outside the language.
        ("x == y", "  ^^", "comparisons are not part of the language"),
        ("x<y", " ^", "comparisons are not part of the language"),
        ("x ~= y", "  ^^", "comparisons are not part of the language"),
        ("A\\b", " ^", f"'\\'{FOREIGN}; for A\\b write solve(A, b)"),
        ("a;", " ^", f"';'{FOREIGN}; only one formula can be given"),
        ("{a}", "^", f"'{{'{FOREIGN}; use parentheses"),
        ("a # b", "  ^", f"'#'{FOREIGN}; comments cannot be written here"),
        ("a!", " ^", f"'!'{FOREIGN}; there is no logic and no factorial"),
        ("a − b", "  ^", f"'−'{FOREIGN}; write -"),
        ("a·b", " ^", f"'·'{FOREIGN}; write *"),
        ("Aᵀ", " ^", f"'ᵀ'{FOREIGN}; write '"),
        (
            "a.b",
            " ^",
            f"'.'{FOREIGN}; a '.' belongs to a number or to one of .* ./ .^ .'; write x' for x.T",
        ),
        ("é", "^", f"'é'{FOREIGN}"),
        ("a\x00", " ^", f"U+0000{FOREIGN}"),
        ("a\ud800", " ^", f"U+D800{FOREIGN}"),
        # Numbers.
        ("x+1e999999", "  ^^^^^^^^", "the exponent of a number must lie between -300 and 300"),
        ("1e-301", "^^^^^^", "the exponent of a number must lie between -300 and 300"),
    ],
)
def test_errors_point_at_the_fault(text: str, marks: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_syntax(text)
    head, line, carets = str(caught.value).split("\n")
    assert head == message
    written = text.split("\n")[0]
    assert line == "  " + "".join(c if c.isprintable() else " " for c in written)
    assert carets == "  " + marks
    assert caught.value.start == marks.index("^")
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_error_shows_only_its_own_line() -> None:
    with pytest.raises(ParseError) as caught:
        parse_syntax("a +\n\tb * * c +\nd")
    expected = "unexpected '*': expected an operand\n   b * * c +\n       ^"
    assert str(caught.value) == expected


@pytest.mark.parametrize("given_value", [None, 3, b"x", ["x"]])
def test_not_a_string(given_value: object) -> None:
    name = type(given_value).__name__
    with pytest.raises(TypeError, match=f"must be a string, not {name}"):
        parse_syntax(given_value)  # type: ignore[arg-type]


def fault(text: str) -> ParseError:
    """The error of a text too large or deep, which has to come soon and be short."""
    begun = time.perf_counter()
    with pytest.raises(ParseError) as caught:
        parse_syntax(text)
    assert time.perf_counter() - begun < 5
    assert len(str(caught.value)) < 400
    return caught.value


def test_long_sums_and_products_do_not_nest() -> None:
    for operator in "+-*":
        tree = parse_syntax(operator.join(["x"] * 10_000))
        assert tree.depth == 2 and walk_names(tree) == ["x"]
    assert parse_syntax("+" * 10_000 + "x") == Name("x")


@pytest.mark.parametrize(
    "text",
    [
        "x" + "'" * 10_000,
        "-" * 10_000 + "x",
        "x^" + "-" * 10_000 + "1",
        ":".join(["x"] * 9_000),
        "^".join(["x"] * 9_000),
        "x" + "[0]" * 5_000,
        "x where s = " + "-" * 10_000 + "x",
        "f(" * 150 + "-x'^2+1" + ")'^2+1" * 150,
    ],
)
def test_deep_operations(text: str) -> None:
    assert f"more than {MAX_TREE_DEPTH} operations are nested" in str(fault(text))


def test_depth_limit_is_exact() -> None:
    assert parse_syntax("-" * (MAX_TREE_DEPTH - 1) + "x").depth == MAX_TREE_DEPTH
    fault("-" * MAX_TREE_DEPTH + "x")


def test_deep_brackets() -> None:
    assert parse_syntax("(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH) == Name("x")
    tree = parse_syntax("f(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH)
    assert tree.depth == MAX_DEPTH + 1
    assert repr(tree) and tree == parse_syntax("f(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH)
    error = fault("y+" + "(" * 10_000)
    assert error.start == 2 + MAX_DEPTH and f"more than {MAX_DEPTH} brackets" in str(error)


def test_too_many_tokens() -> None:
    error = fault("x+" * (MAX_TERMS // 2) + "x")
    assert error.start == MAX_TERMS and f"more than {MAX_TERMS} tokens" in str(error)
    assert isinstance(parse_syntax("x+" * (MAX_TERMS // 2 - 1) + "-x"), Sum)


def test_too_many_characters() -> None:
    parse_syntax("x".ljust(MAX_CHARACTERS))
    assert f"more than {MAX_CHARACTERS} characters" in str(fault("x" * (MAX_CHARACTERS + 1)))


def test_large_numbers() -> None:
    assert parse_syntax("9" * 400) == Num(Fraction("9" * 400))
    for text in ("9" * 401, "0." + "1" * 5_000, "x[" + "9" * 5_000 + "]"):
        assert "at most 400 digits" in str(fault(text))
    assert "exponent" in str(fault("1e" + "9" * 50_000))


def test_long_tokens_are_cut_in_messages() -> None:
    assert str(fault("a " + "b" * 5_000)).startswith(f"unexpected '{'b' * 29}…'")


PIECES = [
    *"abxXα0129. \t\n+-*/@^:'\"()[],=;#{}\\<é",
    *(".*", "./", ".^", "**", "1e3", "where ", " with ", "f(", "x[", "(U,s)=", "'ij'", "e99999"),
]


# More than the default profile asks for: most random texts fail at their first characters.
@settings(max_examples=max(400, settings().max_examples))
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.text()))
def test_anything_else_is_a_parse_error(text: str) -> None:
    try:
        tree = parse_syntax(text)
    except ParseError as error:
        assert error.start is not None and 0 <= error.start <= len(text)
        _head, line, carets = str(error).rsplit("\n", 2)
        assert "^" in carets and len(carets) <= len(line) + 1
        for internal in ("RSQB", "NUMBER", "TIMES", "$END"):
            assert internal in text or internal not in str(error)
    else:
        assert 0 <= tree.start < tree.end <= len(text)
        assert isinstance(walk_names(tree), list)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ParseError, ValueError),
        (errors.ShapeError, ValueError),
        (errors.UnknownNameError, LookupError),
        (errors.NotDifferentiableError, Exception),
        (errors.NotPrintableError, Exception),
        (errors.CheckError, AssertionError),
        (errors.InputError, ValueError),
    ],
)
def test_exceptions(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, errors.TensorCalculusError) and issubclass(error, builtin)
    assert str(error("no 'x'")) == "no 'x'"
    again = pickle.loads(pickle.dumps(error("no 'x'")))
    assert type(again) is error and str(again) == "no 'x'"
    assert issubclass(errors.GaugeWarning, UserWarning)


def test_parse_error_keeps_its_place_when_pickled() -> None:
    again = pickle.loads(pickle.dumps(ParseError("m", 2, 5)))
    assert (str(again), again.start, again.end) == ("m", 2, 5)


@pytest.mark.parametrize("start", [0, 1, 49, 50, 250, 498, 499, 500])
def test_caret_in_a_long_line(start: int) -> None:
    text = "".join(chr(ord("a") + place % 26) for place in range(500))
    _, line, carets = caret(text, start, start + 3, "m").split("\n")
    assert len(line) <= 102 and carets.count("^") == min(3, max(1, 500 - start))
    column = carets.index("^")
    assert line[column : column + 3].rstrip("…") == text[start : start + 3]
    assert ("…" in line[:3]) == (start > 49) and line.endswith("…") == (start < 450)


def test_caret_details() -> None:
    assert caret("a+b", 1, 2, "no", "yes") == "no: expected yes\n  a+b\n   ^"
    assert caret("a\nbc\nd", 2, 6, "m") == "m\n  bc\n  ^^"
    assert caret("ab", 2, 2, "m") == "m\n  ab\n    ^"
    assert caret("ab\n", 2, 3, "m") == "m\n  ab\n    ^"
    assert caret("ab", 7, 9, "m") == "m\n  ab\n    ^"
    assert caret("x" * 100, 99, 100, "m").split("\n")[1] == "  " + "x" * 100
    assert caret("x" * 300, 0, 300, "m").split("\n")[2] == "  " + "^" * 98


def test_nearest() -> None:
    assert nearest("sigmod", {"sigmoid", "sin", "sum"}) == " Did you mean 'sigmoid'?"
    assert nearest("EXP", ["exp", "log"]) == " Did you mean 'exp'?"
    assert nearest("qqq", ["exp", "log"]) == ""
    assert nearest("x" * 10_000, ["x" * 9_999]) == ""
    assert nearest("x", []) == ""
