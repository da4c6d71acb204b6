"""The server: answers, errors, limits and what it refuses, with real worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
import warnings
from base64 import b64encode
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest

import tensorcalculus as tc

pytest.importorskip("starlette", reason="the extra `web` is not installed")
pytest.importorskip("latex2mathml", reason="the extra `web` is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's library, which the next version changes
    from starlette.requests import ClientDisconnect
    from starlette.testclient import TestClient

from tensorcalculus.web import app
from tensorcalculus.web.app import application
from tensorcalculus.web.cache import AnswerCache
from tensorcalculus.web.examples import EXAMPLES
from tensorcalculus.web.guard import MAX_BODY, Guard
from tensorcalculus.web.pool import Busy, Limits, Pool
from tensorcalculus.web.query import PARTS, QueryError, read_query

SECONDS = 1.0
"""For the tests of limits; other answers may take longer where several tests run at once."""
LEAST_SQUARES = "norm2(X*w-y)^2"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with TestClient(application("testserver", 1, Limits(seconds=30.0))) as opened:
        yield opened


@pytest.fixture(scope="module")
def hasty() -> Iterator[Any]:
    limits = Limits(seconds=SECONDS, memory=2**28)
    with TestClient(application("testserver", 2, limits)) as opened:
        yield opened


def derive(client: Any, formula: str = LEAST_SQUARES, status: int = 200, **fields: Any) -> Any:
    answer = client.post("/api/derive", json={"formula": formula, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def well(client: Any) -> bool:
    """Whether the server still answers something that it cannot know from before."""
    formula = f"sum(x.^2)*{time.time_ns() % 10**9}"
    return derive(client, formula)["derivative"]["shape"] == ["m"]


# -- parts ---------------------------------------------------------------------------------------


def test_derivative(client: Any) -> None:
    answer = derive(client, declarations={"X": "m n", "c": ""}, wrt="w")
    assert answer["formula"]["text"] == LEAST_SQUARES
    assert answer["variables"][0] == {
        "name": "X", "kind": "matrix", "shape": ["m", "n"], "declaration": "m n",
        "declared": True, "properties": [],
    }  # fmt: skip
    assert [v["declared"] for v in answer["variables"]] == [True, False, False]
    assert answer["unused"] == ["c"] and answer["wrt"] == ["w"] and answer["order"] == 1
    assert answer["layout"] == "the gradient of a scalar has the shape of w"
    found = answer["derivative"]
    assert found["title"] == "gradient by w" and found["shape"] == ["n"]
    assert found["text"] == "2*X'*(X*w-y)" and found["latex"] == r"2X^\top(Xw-y)"
    assert ElementTree.fromstring(found["mathml"]).tag.endswith("math")
    # What is answered is read back, and is the derivative in numbers.
    rng = np.random.default_rng(0)
    X, w, y = rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(4)
    for text in (found["text"], found["einsum"]):
        value = tc.parse(text)(X=X, w=w, y=y)
        assert np.allclose(value, 2 * X.T @ (X @ w - y))


def test_the_first_variable_and_several(client: Any) -> None:
    assert derive(client)["wrt"] == ["X"]
    both = derive(client, wrt=["w", "X"])
    assert both["order"] == 2 and both["derivative"]["shape"] == ["n", "m", "n"]
    assert derive(client, wrt="w", order=2)["derivative"]["text"] == "2*X'*X"
    alone = derive(client, wrt="w", order=0)
    assert alone["derivative"] is None and alone["wrt"] == [] and alone["layout"] is None
    assert derive(client, "3", parts=["derivative", "cost"])["derivative"] is None


def test_symmetric_variables(client: Any) -> None:
    asked = {"declarations": {"S": "n n sym"}, "wrt": "S"}
    answer = derive(client, "x'*S*y", **asked)
    assert answer["derivative"]["text"] == "(x*y'+y*x')/2" and "projected" in answer["symmetry"]
    assert answer["variables"][1]["properties"] == ["symmetric"]
    full = derive(client, "x'*S*y", symmetry="full", **asked)
    assert full["derivative"]["text"] == "x*y'" and "full" in full["symmetry"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.title)
def test_examples_have_all_parts(client: Any, example: Any) -> None:
    answer = derive(
        client, example.formula, declarations=example.declarations, wrt=example.wrt,
        order=example.order, parts=list(PARTS),
    )  # fmt: skip
    assert [part for part in PARTS if "error" in answer[part]] == []
    assert answer["check"]["ok"] and max(e["error"] for e in answer["check"]["entries"]) < 1e-6
    assert {e["by"][0] for e in answer["check"]["entries"]} == {example.wrt}
    for language, needed in (("numpy", "numpy"), ("torch", "torch"), ("jax", "jax")):
        assert f"import {needed}" in answer["code"][language]
    assert answer["steps"]["html"].startswith("<")
    for what in ("function", "derivative"):
        assert ElementTree.fromstring(answer["diagram"][what]).tag.endswith("svg")
        assert answer["diagram"]["tikz"][what].startswith(r"\begin{tikzpicture}")
    assert answer["cost"]["expressions"][0]["symbolic"]


def test_code_runs(client: Any) -> None:
    source = derive(client, wrt="w", parts=["code"])["code"]["numpy"]
    module: dict[str, Any] = {"__name__": "made"}
    exec(compile(source, "made", "exec"), module)
    X, w, y = np.ones((4, 3)), np.arange(3.0), np.ones(4)
    value, gradient = module["evaluate"](X, w, y)
    assert value == 16.0 and np.allclose(gradient, 2 * X.T @ (X @ w - y))


def test_cost(client: Any) -> None:
    cost = derive(client, wrt="w", parts=["cost"])["cost"]
    symbolic = {e["what"]: e["symbolic"] for e in cost["expressions"]}
    # X*w and X'*r take 2mn each, the difference m, the factor n; the norm 2m, of which r is m.
    assert symbolic["the gradient by w"] == "4*m*n + m + n"
    assert symbolic["both together"] == "4*m*n + 3*m + n"
    assert [row["sizes"] for row in cost["table"]] == [dict(m=k, n=k) for k in (10, 100, 1000)]
    assert [row["flops"] for row in cost["table"]] == [4 * k * k + 4 * k for k in (10, 100, 1000)]


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind", "field", "place"),
    [
        ({"formula": "norm2(X*w-y"}, "ParseError", "formula", (5, 6)),
        ({"formula": "x'*x + )"}, "ParseError", "formula", (7, 8)),
        ({"formula": "σ*(A*x)+Σ'*frob(x)"}, "UnknownNameError", "formula", (11, 18)),
        ({"formula": "A*x", "declarations": {"A": "m 3", "x": "4"}}, "ShapeError", "formula",
         (0, 3)),
        ({"formula": "A*x", "declarations": {"A": "m n symm"}}, "ParseError", "declarations.A",
         None),
        ({"formula": "A*x", "declarations": {"a b": "n"}}, "ParseError", "declarations.a b", None),
        ({"formula": "A*x", "wrt": "z"}, "UnknownNameError", "wrt", None),
        ({"formula": "x'*x", "wrt": ["x", "x"], "order": 3}, "ParseError", "order", None),
        ({"formula": ""}, "ParseError", "formula", (0, 0)),
        ({"formula": "(" * 150 + "x" + ")" * 150 + "+(" * 300}, "ParseError", "formula", ...),
    ],
    ids=str,
)  # fmt: skip
def test_errors_of_users(client: Any, fields: dict, kind: str, field: str, place: Any) -> None:
    error = derive(client, status=422, **fields)["error"]
    assert (error["kind"], error["field"]) == (kind, field)
    assert "\n" not in error["message"] and error["message"]
    if place is not ...:
        assert (error["start"], error["end"]) == (place or (None, None))


def test_hint(client: Any) -> None:
    assert derive(client, "sigmod(x)", 422)["error"]["hint"] == "Did you mean 'sigmoid'?"


def test_a_part_without_a_form_leaves_the_others(client: Any) -> None:
    answer = derive(client, "sum(exp(x))", wrt="x", order=3, parts=["derivative", "steps"])
    assert answer["derivative"]["shape"] == ["m"] * 3
    assert answer["steps"]["error"]["kind"] == "InputError"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None), (b"{", None), (b"[]", None), (b"null", None), (b"\xff", None),
        (b"[" * 9000, None), (b'{"formula": 1' + b"0" * 5000 + b"}", None),
        (b"{}", "formula"), (b'{"formula": 3}', "formula"),
        (b'{"formula": "\\ud800"}', "formula"),
        (b'{"formula": "x", "more": 1}', "request"),
        (b'{"formula": "x", "declarations": ["x"]}', "declarations"),
        (b'{"formula": "x", "declarations": {"x": 3}}', "declarations"),
        (b'{"formula": "x", "wrt": 3}', "wrt"), (b'{"formula": "x", "wrt": []}', "wrt"),
        (b'{"formula": "x", "wrt": [["x"]]}', "wrt"),
        (b'{"formula": "x", "order": 9}', "order"), (b'{"formula": "x", "order": -1}', "order"),
        (b'{"formula": "x", "order": true}', "order"), (b'{"formula": "x", "order": 1.5}', "order"),
        (b'{"formula": "x", "symmetry": "half"}', "symmetry"),
        (b'{"formula": "x", "parts": "derivative"}', "parts"),
        (b'{"formula": "x", "parts": ["all"]}', "parts"),
        (b'{"formula": "x", "parts": [[]]}', "parts"),
    ],
    ids=lambda v: str(v)[:40],
)  # fmt: skip
def test_requests_that_cannot_be_read(client: Any, body: bytes, field: str | None) -> None:
    with pytest.raises(QueryError):
        read_query(body)
    answer = client.post("/api/derive", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["field"] == field


def test_a_query_is_read_as_it_was_written() -> None:
    query = read_query(b'{"parts": ["cost", "derivative"], "formula": "x", "wrt": ["x"]}')
    assert query.parts == ("derivative", "cost")
    assert read_query(query.as_json()) == query
    assert read_query(read_query(b'{"formula": "x"}').as_json()).wrt == ()


# -- what is refused -----------------------------------------------------------------------------


def test_other_types_sizes_and_methods(client: Any) -> None:
    form = client.post("/api/derive", data={"formula": "x"})
    assert form.status_code == 415
    plain = client.post("/api/derive", content=b'{"formula":"x"}',
                        headers={"content-type": "text/plain"})  # fmt: skip
    assert plain.status_code == 415
    assert client.post("/api/derive", json={"formula": "x" * MAX_BODY}).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    streamed = client.post("/api/derive", content=pieces(),
                           headers={"content-type": "application/json"})  # fmt: skip
    assert streamed.status_code == 413
    assert client.get("/api/derive").status_code == 405
    assert client.get("/nowhere").json()["error"]["kind"] == "RequestError"
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/app.py"):
        assert client.get(path).status_code == 404
    preflight = client.options("/api/derive", headers={
        "origin": "http://evil.example", "access-control-request-method": "POST"})  # fmt: skip
    assert not [h for h in preflight.headers if h.startswith("access-control")]


@pytest.mark.parametrize(
    "answer", [("GET", "/"), ("GET", "/nowhere"), ("GET", "/api/examples"), ("POST", "/api/derive")]
)
def test_headers(client: Any, answer: tuple[str, str]) -> None:
    headers = client.request(*answer).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


def test_the_policy_knows_the_style_of_drawings(client: Any) -> None:
    drawn = derive(client, wrt="w", parts=["diagram", "steps"])
    policy = client.get("/").headers["content-security-policy"]
    texts = [drawn["diagram"]["function"], drawn["diagram"]["derivative"], drawn["steps"]["html"]]
    styles = re.findall(r"<style>(.*?)</style>", "".join(texts), re.S)
    assert len(styles) >= 2
    for style in styles:
        assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert not re.search(r"\sstyle=|\son\w+=|<script", "".join(texts))


@pytest.mark.parametrize(
    ("bound", "asked", "served"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True), ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:80", True), ("localhost", "[::1]:8000", True),
        ("127.0.0.1", "127.3.2.1", True), ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example:8000", False), ("127.0.0.1", "", False),
        ("127.0.0.1", "10.0.0.1", False), ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("0.0.0.0", "10.0.0.1:8000", True), ("0.0.0.0", "evil.example", False),
        ("::", "[fe80::1]:8000", True), ("0.0.0.0", "[::1", True),
    ],
)  # fmt: skip
def test_hosts(bound: str, asked: str, served: bool) -> None:
    assert Guard(None, bound).serves(asked) is served  # type: ignore[arg-type]


def test_other_hosts_are_refused(client: Any) -> None:
    answer = client.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 400 and answer.json()["error"]["kind"] == "HostError"
    assert "content-security-policy" in answer.headers


class Elements(HTMLParser):
    """The names of elements in a fragment, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize(
    "formula", ["<script>alert(1)</script>", "x'*x<img src=q onerror=alert(1)>"]
)
def test_markup_is_no_formula(client: Any, formula: str) -> None:
    answer = client.post("/api/derive", json={"formula": formula, "parts": list(PARTS)})
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/json"


def test_names_are_never_markup(client: Any) -> None:
    # Texts of the language that come near to markup, in all places where a user's words appear.
    asked = {
        "formula": "sum(a_lt.*b) where b = exp(script), a_lt = onerror.*script",
        "wrt": "script",
    }
    answer = derive(client, parts=list(PARTS), **asked)
    markup = [answer["steps"]["html"], answer["formula"]["mathml"], answer["derivative"]["mathml"],
              answer["diagram"]["function"], answer["diagram"]["derivative"]]  # fmt: skip
    for text in markup:
        elements = Elements(text)
        assert not elements.names & {"script", "img", "iframe", "a", "object", "foreignobject"}
        assert not {name for name in elements.attributes if name.startswith("on")}
    assert "error" not in answer["steps"]


# -- limits --------------------------------------------------------------------------------------

TOO_LONG = {
    "a tower": {"formula": "exp(" * 190 + "x" + ")" * 190, "order": 8},
    "a high order": {"formula": "sum(softmax(A*tanh(B*x)))", "wrt": "x", "order": 8},
    "a power": {"formula": "tr(A^300)", "wrt": "A", "order": 3},
}
TOO_LARGE = {
    "data": {"formula": "norm2(X*w)^2", "declarations": {"X": "1000000000 1000"}},
    "a Hessian": {"formula": "sum(exp(X*w))", "declarations": {"w": "60000", "X": "9 60000"},
                  "wrt": "w", "order": 2},
    "a tensor": {"formula": "T", "declarations": {"T": "100 100 100 100 100 100"}},
}  # fmt: skip


@pytest.mark.parametrize("fields", TOO_LONG.values(), ids=TOO_LONG.keys())
def test_what_takes_too_long_is_ended(hasty: Any, fields: dict[str, Any]) -> None:
    begun = time.monotonic()
    error = derive(hasty, status=504, **fields)["error"]
    assert time.monotonic() - begun < SECONDS + 1
    assert error["kind"] == "LimitError" and "1 seconds" in error["message"]
    assert well(hasty)


@pytest.mark.parametrize("fields", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_is_too_large_is_ended(hasty: Any, fields: dict[str, Any]) -> None:
    begun = time.monotonic()
    answer = derive(hasty, parts=["derivative", "check"], **fields)
    assert time.monotonic() - begun < SECONDS + 1
    assert answer["check"]["error"]["kind"] == "LimitError" and answer["derivative"]["text"]
    assert well(hasty)


def test_parts_made_in_time_are_answered(hasty: Any) -> None:
    # A decomposition for each of 256 directions takes seconds, where the formula takes none.
    fields = {"declarations": {"X": "400 400"}, "wrt": "w"}
    answer = derive(hasty, "sum(svdvals(X*diag(w)))", parts=["derivative", "check"], **fields)
    assert answer["derivative"]["shape"] == ["400"]
    assert answer["check"]["error"]["kind"] == "LimitError"
    assert "1 seconds" in answer["check"]["error"]["message"]


def test_a_killed_worker_is_replaced(client: Any) -> None:
    pool = client.app.state.pool
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.02):
            for worker in list(pool.workers):
                if worker not in pool._idle and worker.process.returncode is None:
                    os.kill(worker.process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        error = derive(client, status=503, **TOO_LONG["a power"])["error"]
    finally:
        ended.set()
        killer.join()
    assert error["kind"] == "LimitError" and "ended" in error["message"]
    assert well(client)
    wait_for(lambda: len(pool.workers) == pool.size)


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_known_answers_need_no_worker(client: Any) -> None:
    first = derive(client, "x'*A*x + 7", wrt="x")
    pool, cache = client.app.state.pool, client.app.state.cache
    before, held = sum(w.uses for w in pool.workers), len(cache)
    again = derive(client, "x'*A*x + 7", wrt=["x"], parts=["derivative"], order=1)
    assert again == first and len(cache) == held
    assert sum(w.uses for w in pool.workers) == before


def test_the_cache_is_bounded() -> None:
    cache = AnswerCache(1000)
    for k in range(100):
        cache.put(b"%d" % k, 200, b"x" * 100)
        cache.get(b"0")
        assert cache.held <= 1000
    assert cache.get(b"0") == (200, b"x" * 100) and cache.get(b"1") is None
    cache.put(b"large", 200, b"x" * 500)
    assert cache.get(b"large") is None and len(cache) > 5


def ask(formula: str, **fields: Any) -> bytes:
    return read_query(json.dumps({"formula": formula, **fields}).encode()).as_json()


def test_waiting_and_cancelled_queries() -> None:
    async def run() -> None:
        pool = Pool(1, Limits(seconds=60.0, waiting=2, uses=3))
        await pool.open()
        try:
            slow = [asyncio.ensure_future(pool.ask(ask(**TOO_LONG["a power"]))) for _ in range(3)]
            await asyncio.sleep(0.1)
            with pytest.raises(Busy):
                await pool.ask(ask("x"))
            for task in slow:
                task.cancel()
            await asyncio.wait(slow)
            begun = time.monotonic()
            # The place of who waited is free, and the worker that was busy has been replaced.
            for k in range(8):
                reply = await pool.ask(ask(f"x*{k + 2}"))
                assert b'"m"' in reply.fields["derivative"]
            assert time.monotonic() - begun < 30.0
        finally:
            await pool.close()
        assert not pool.workers
        with pytest.raises(Busy):
            await pool.ask(ask("x"))

    asyncio.run(run())


def test_equal_queries_are_one_and_end_with_who_asked() -> None:
    class Gone:
        """A client that goes away after a while."""

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        async def receive(self) -> dict[str, str]:
            await asyncio.sleep(self.seconds)
            return {"type": "http.disconnect"}

    async def run() -> None:
        pool = Pool(1, Limits(seconds=60.0))
        await pool.open()
        (worker,) = pool.workers
        asked, slow, quick = app._Asked(pool), ask(**TOO_LONG["a power"]), ask("x'*x")
        try:
            same = [asked.while_wanted(cast(Any, Gone(60)), quick) for _ in range(20)]
            replies = await asyncio.gather(*same)
            assert worker.uses == 1 and len({id(reply) for reply in replies}) == 1
            leaving = [asked.while_wanted(cast(Any, Gone(0.1 * k)), slow) for k in range(3)]
            begun = time.monotonic()
            ends = await asyncio.gather(*leaving, return_exceptions=True)
            assert all(isinstance(end, ClientDisconnect) for end in ends)
            assert time.monotonic() - begun < 10 and worker.uses == 2
            assert not asked.replies and not asked.wanted
            # The worker has been ended, and another one answers.
            reply = await pool.ask(ask("x"))
            assert reply.fields["derivative"] and worker not in pool.workers
        finally:
            await pool.close()

    asyncio.run(run())


def test_symbolic_costs_are_those_in_numbers() -> None:
    from tensorcalculus.compiler.program import Program

    for example in EXAMPLES:
        f = tc.parse(example.formula, example.declarations)
        d = tc.derivative(f, example.wrt, example.order)
        program = Program([f, d])
        rng = np.random.default_rng(1)
        for _ in range(5):
            sizes = {s: int(rng.integers(20, 200)) for s in program.symbols}
            if example.title == "Convolution":  # the kernel is shorter than the signal
                sizes["m"] = 300
            cost = program.cost(sizes)
            assert isinstance(cost.symbolic.evaluate(sizes), Fraction)
            assert float(cost.symbolic.evaluate(sizes)) == pytest.approx(cost.flops, rel=1e-12)
