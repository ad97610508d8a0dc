"""Chat-completions servers with one oddity each, on loopback; they play three moves: look, propose, conclude.

A quirk takes the talk so far and a request, and gives an answer. Its docstring says what is odd. What a server demands it
insists on: a request that falls short is refused, and the play does not go on. The words of errors are ours.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOK = {
    "calls": [
        {"read": "query_metrics", "args": {"promql": "throttled"}, "why": "starved?"},
        {"read": "alert_rule", "args": {"alertname": "Slow"}},
    ]
}
PICTURE = {"claims": [], "component": "web", "fault": "cpu_contention", "confidence": 0.8, "kind": "infra"}
PROPOSE = {
    "action": "scale_workload",
    "args": {"workload": "eu-1/shop/web", "replicas": 5},
    "why": "starved",
    "success": {"promql": "p99_seconds", "expect": "< 1"},
    **PICTURE,
}
MOVES: tuple[tuple[str, dict[str, Any]], ...] = (("look", LOOK), ("propose", PROPOSE), ("conclude", PICTURE))
USAGE = {"prompt_tokens": 2_900, "completion_tokens": 100, "total_tokens": 3_000}


@dataclass(frozen=True)
class Reply:
    """`body` is JSON, or text that goes out as it is; None hangs up without an answer."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Talk:
    """What one server remembers: the requests so far, and how far its play has got."""

    play: Sequence[tuple[str, dict[str, Any]]] = MOVES
    requests: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0

    def move(self) -> tuple[str, str]:
        """The next move's name and arguments; the last one again and again."""
        name, arguments = self.play[min(self.step, len(self.play) - 1)]
        self.step += 1
        return name, json.dumps(arguments)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call that the last request gives back."""
        return [call for m in self.requests[-1]["messages"] for call in m.get("tool_calls") or ()]

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [m for m in self.requests[-1]["messages"] if m["role"] == "assistant"]


Quirk = Callable[[Talk, dict[str, Any]], Reply]


def call(name: str, arguments: str, id_: Any = "call_1", **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def completion(message: Mapping[str, Any], finish: str = "tool_calls", usage: Any = USAGE, **top: Any) -> Reply:
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        **top,
        "usage": usage,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
        ],
    }
    return Reply(200, body)


def well(talk: Talk, request: dict[str, Any]) -> Reply:
    """Nothing is odd."""
    return completion({"tool_calls": [call(*talk.move())]})


def refused(text: str, status: int = 400, **more: Any) -> Reply:
    return Reply(status, {"error": {"message": text, "type": "invalid_request_error", **more}})


def says(text: str) -> Reply:
    return completion({"content": text}, finish="stop")


# -- when it answers --------------------------------------------------------------------------------------------------


def rate_limited(talk: Talk, request: dict[str, Any]) -> Reply:
    """The second and third requests meet a limit of tokens a minute."""
    if len(talk.requests) in (2, 3):
        return Reply(
            429,
            {"error": {"message": "too many tokens", "code": "rate_limit_exceeded"}},
            {"retry-after": "5", "retry-after-ms": "4200"},
        )
    return well(talk, request)


def rate_limited_until(talk: Talk, request: dict[str, Any]) -> Reply:
    """The wait is told as a date, by a clock that is not ours."""
    if len(talk.requests) == 2:
        dates = {"date": "Tue, 24 Nov 2026 03:00:00 GMT", "retry-after": "Tue, 24 Nov 2026 03:00:07 GMT"}
        return Reply(429, {"message": "slow down"}, dates)
    return well(talk, request)


def loading(talk: Talk, request: dict[str, Any]) -> Reply:
    """The server loads its model for four requests, and says how long to wait."""
    return (
        well(talk, request)
        if len(talk.requests) > 4
        else Reply(503, {"error": {"message": "loading the model"}}, {"retry-after": "3"})
    )


def loading_without_a_time(talk: Talk, request: dict[str, Any]) -> Reply:
    """The same, and says nothing of how long."""
    return well(talk, request) if len(talk.requests) > 7 else Reply(503, {"error": {"message": "Loading model"}})


def hangs_up(talk: Talk, request: dict[str, Any]) -> Reply:
    """The connection is dropped before the second answer."""
    return Reply(0, None) if len(talk.requests) == 2 else well(talk, request)


def error_in_200(talk: Talk, request: dict[str, Any]) -> Reply:
    """An error of the provider behind it comes as a success."""
    return (
        Reply(200, {"error": {"message": "provider overloaded", "code": 502}})
        if len(talk.requests) == 2
        else well(talk, request)
    )


def error_in_a_choice(talk: Talk, request: dict[str, Any]) -> Reply:
    """The error stands in the choice, beside an empty message."""
    if len(talk.requests) != 2:
        return well(talk, request)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": ""},
        "finish_reason": "error",
        "error": {"message": "upstream went away"},
    }
    return Reply(200, {"id": "x", "choices": [choice]})


# -- what it wants back -----------------------------------------------------------------------------------------------

SIGNED = {"google": {"thought_signature": "AbC"}}


def signature(talk: Talk, request: dict[str, Any]) -> Reply:
    """What came with a call (extra_content) has to come back with it."""
    if any(one.get("extra_content") != SIGNED for one in talk.calls):
        text = "a function call lacks its thought_signature"
        return Reply(400, [{"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}])
    return completion({"tool_calls": [call(*talk.move(), extra_content=SIGNED)]})


def thoughts(talk: Talk, request: dict[str, Any]) -> Reply:
    """The reasoning of a turn with calls has to come back, with what signs it."""
    wanted = [f"thought {n}" for n in range(1, len(talk.answers) + 1)]
    if [m.get("reasoning_content") for m in talk.answers] != wanted or any(
        "reasoning_details" not in m for m in talk.answers
    ):
        return refused("reasoning_content of an earlier turn is missing")
    move = call(*talk.move())
    return completion(
        {"tool_calls": [move], "reasoning_content": f"thought {talk.step}", "reasoning_details": [{"sig": "s"}]}
    )


def thoughts_refused(talk: Talk, request: dict[str, Any]) -> Reply:
    """It gives its reasoning and does not take it back."""
    for place, one in enumerate(request["messages"]):
        if "reasoning_content" in one:
            repeated = {"max_tokens": 0, **request}
            return Reply(
                422,
                {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "input": repeated,
                            "loc": ["body", "messages", place, "reasoning_content"],
                            "msg": "Extra inputs are not permitted",
                        }
                    ]
                },
            )
    return completion({"tool_calls": [call(*talk.move())], "reasoning_content": "hm"})


def own_ids(talk: Talk, request: dict[str, Any]) -> Reply:
    """Its own ids have to come back."""
    if [one["id"] for one in talk.calls] != [f"functions.look:{n}" for n in range(talk.step)]:
        return refused("the id of a tool call is not one of ours")
    return completion({"tool_calls": [call(*talk.move(), id_=f"functions.look:{talk.step - 1}")]})


def nine_letters(talk: Talk, request: dict[str, Any]) -> Reply:
    """Ids are nine letters and digits, each once; it gives the same one every time."""
    ids = [str(one["id"]) for one in talk.calls]
    if not all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in ids) or len(set(ids)) < len(ids):
        return Reply(
            400, {"object": "error", "message": f"bad ids {ids}", "type": "invalid_function_call", "code": "3280"}
        )
    return completion({"tool_calls": [call(*talk.move(), id_="D681PevKs")]})


def no_ids(talk: Talk, request: dict[str, Any]) -> Reply:
    """It gives no ids, and wants nine letters and digits."""
    if not all(re.fullmatch("[A-Za-z0-9]{9}", str(one["id"])) for one in talk.calls):
        return refused("bad id")
    return completion({"tool_calls": [call(*talk.move(), id_=None)]})


# -- how it writes ----------------------------------------------------------------------------------------------------


def reasoning_eats_limit(talk: Talk, request: dict[str, Any]) -> Reply:
    """Thinking counts as output: below 6,000 tokens nothing is left for the answer."""
    if (request.get("max_completion_tokens") or request.get("max_tokens") or 10**9) < 6000:
        return completion({"content": "", "reasoning_content": "hmm " * 50}, finish="length")
    return well(talk, request)


def call_in_tags(talk: Talk, request: dict[str, Any]) -> Reply:
    """The call stands as text in tags behind a thought."""
    name, arguments = talk.move()
    return says(
        f'<think>\n{{"name": "look"}}?\n</think>\n<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
    )


def call_behind_an_open_thought(talk: Talk, request: dict[str, Any]) -> Reply:
    """The template opened the thought, so that only its end is seen."""
    name, arguments = talk.move()
    return says(f'starved, I think.</think>{{"name": "{name}", "parameters": {arguments}}}')


def call_fenced(talk: Talk, request: dict[str, Any]) -> Reply:
    """The call stands as a fenced block of JSON, and the list of calls is there and empty."""
    name, arguments = talk.move()
    text = f'I will look first.\n```json\n{{"name": "{name}", "arguments": {arguments}}}\n```'
    return completion({"content": text, "tool_calls": []}, finish="stop")


def call_in_harmony(talk: Talk, request: dict[str, Any]) -> Reply:
    """The call stands in the marks of the model's own format."""
    name, arguments = talk.move()
    return says(
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
    )


def prefix(talk: Talk, request: dict[str, Any]) -> Reply:
    """The tool's name has the prefix `functions.`."""
    name, arguments = talk.move()
    return completion({"tool_calls": [call(f"functions.{name}", arguments)]})


def harmony_suffix(talk: Talk, request: dict[str, Any]) -> Reply:
    """The channel's name hangs on the tool's."""
    name, arguments = talk.move()
    return completion({"tool_calls": [call(f"{name}<|channel|>commentary", arguments)]})


def coded_twice(talk: Talk, request: dict[str, Any]) -> Reply:
    """The arguments are a string of JSON in a string of JSON."""
    name, arguments = talk.move()
    return completion({"tool_calls": [call(name, json.dumps(arguments))]})


def arguments_as_object(talk: Talk, request: dict[str, Any]) -> Reply:
    """The arguments are an object and no text."""
    name, arguments = talk.move()
    return completion({"tool_calls": [call(name, json.loads(arguments))]})


# -- what it does not take --------------------------------------------------------------------------------------------


def no_system(talk: Talk, request: dict[str, Any]) -> Reply:
    """The template knows no system role."""
    return (
        refused("system role is not supported") if request["messages"][0]["role"] == "system" else well(talk, request)
    )


def turns(talk: Talk, request: dict[str, Any]) -> Reply:
    """User and assistant take turns; what else comes fails in the template, with 500."""
    roles = [m["role"] for m in request["messages"]]
    if "system" in roles or any(a == b == "user" for a, b in itertools.pairwise(roles)):
        return refused("Conversation roles must alternate user/assistant/user/assistant", 500)
    return well(talk, request)


def no_length_fields(talk: Talk, request: dict[str, Any]) -> Reply:
    """Unknown fields are answered 422, one at a time."""
    bad = [key for key in request if key in ("max_tokens", "max_completion_tokens")]
    if bad:
        return Reply(
            422,
            {
                "detail": [
                    {"type": "extra_forbidden", "loc": ["body", bad[0]], "msg": "not permitted", "input": request}
                ]
            },
        )
    return well(talk, request)


def one_length_field(talk: Talk, request: dict[str, Any]) -> Reply:
    """It refuses the one and recommends the other in the same breath."""
    if "max_tokens" in request:
        return refused(
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            param="max_tokens",
        )
    return well(talk, request) if "max_completion_tokens" in request else refused("no limit was given")


def one_call_at_a_time(talk: Talk, request: dict[str, Any]) -> Reply:
    """It knows no parallel calls, in no message and by no field."""
    if "parallel_tool_calls" in request or any(len(m.get("tool_calls") or [0]) > 1 for m in request["messages"]):
        return refused("This model only supports single tool-calls at once!", 500)
    return well(talk, request)


def no_null_content(talk: Talk, request: dict[str, Any]) -> Reply:
    """Content that is null is refused."""
    bad = any(m.get("content") is None for m in request["messages"])
    return refused("content must be a string") if bad else well(talk, request)


def no_usage(talk: Talk, request: dict[str, Any]) -> Reply:
    """It does not count."""
    return completion({"tool_calls": [call(*talk.move())]}, usage=None)


# -- how it sends -----------------------------------------------------------------------------------------------------


def streamed(talk: Talk, request: dict[str, Any], end: str = "data: [DONE]\n\n", **more: Any) -> Reply:
    """One call in pieces: name first, then its arguments seven characters at a time; the count comes last, without a choice."""
    name, arguments = talk.move()
    first = {
        "index": 0,
        "id": f"call_{talk.step}",
        "type": "function",
        "function": {"name": name, "arguments": ""},
        **more,
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}, {"tool_calls": [first]}]
    for at in range(0, len(arguments), 7):
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": arguments[at : at + 7]}}]})
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}, {"choices": [], "usage": USAGE}]
    text = ": keep-alive\n\n" + "".join(
        f"data: {json.dumps({'object': 'chat.completion.chunk', **c})}\n\n" for c in chunks
    )
    return Reply(200, text + end, {"content-type": "text/event-stream"})


def streaming_only(talk: Talk, request: dict[str, Any]) -> Reply:
    """It answers only where a stream is asked for, and what came with a call has to come back."""
    if not request.get("stream"):
        return refused("stream must be set to true for this model")
    if any(one.get("extra_content") != SIGNED for one in talk.calls):
        return refused("a function call lacks its thought_signature")
    return streamed(talk, request, extra_content=SIGNED)


def always_streams(talk: Talk, request: dict[str, Any]) -> Reply:
    """It streams although nobody asked for it."""
    return streamed(talk, request)


def streams_carelessly(talk: Talk, request: dict[str, Any]) -> Reply:
    """Id and name stand in every piece, the index in none; no count, no last word but the finish."""
    name, arguments = talk.move()
    pieces = [
        {"id": f"c{talk.step}", "function": {"name": name, "arguments": arguments[at : at + 9]}}
        for at in range(0, len(arguments), 9)
    ]
    chunks = [{"choices": [{"delta": {"tool_calls": [one]}}]} for one in pieces] + [
        {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    ]
    return Reply(
        200, "".join(f"data:{json.dumps(one)}\r\n\r\n" for one in chunks), {"content-type": "text/event-stream"}
    )


def stream_ends_early(talk: Talk, request: dict[str, Any]) -> Reply:
    """The second answer's stream ends after some whole pieces."""
    if len(talk.requests) != 2:
        return streamed(talk, request)
    whole = streamed(Talk(talk.play), request)
    pieces = whole.body.split("\n\n")
    return Reply(200, "\n\n".join(pieces[: len(pieces) // 2]) + "\n\n", whole.headers)


def stream_breaks_off(talk: Talk, request: dict[str, Any]) -> Reply:
    """The second answer's stream ends in the middle of a piece."""
    if len(talk.requests) != 2:
        return streamed(talk, request)
    whole = streamed(Talk(talk.play), request)
    return Reply(200, whole.body[: len(whole.body) // 2], whole.headers)


def error_in_a_stream(talk: Talk, request: dict[str, Any]) -> Reply:
    """The second answer is an error in the middle of a stream."""
    text = 'data: {"choices": [{"delta": {"content": "I"}}]}\n\ndata: {"error": {"message": "overloaded", "code": 529}}\n\n'
    return (
        Reply(200, text, {"content-type": "text/event-stream"}) if len(talk.requests) == 2 else streamed(talk, request)
    )


# -- what it reads ----------------------------------------------------------------------------------------------------


def silently_cut(talk: Talk, request: dict[str, Any]) -> Reply:
    """It reads 1,024 tokens of whatever it is sent, and says so only in its count."""
    usage = {"prompt_tokens": 1024, "completion_tokens": 90, "total_tokens": 1114}
    return completion({"tool_calls": [call(*talk.move())]}, usage=usage)


def says_truncated(talk: Talk, request: dict[str, Any]) -> Reply:
    """It says beside its answer that the request was cut."""
    return completion({"tool_calls": [call(*talk.move())]}, truncated=True)


QUIRKS: dict[str, Quirk] = {
    one.__name__: one
    for one in (
        well,
        rate_limited,
        rate_limited_until,
        loading,
        loading_without_a_time,
        hangs_up,
        error_in_200,
        error_in_a_choice,
        signature,
        thoughts,
        thoughts_refused,
        own_ids,
        nine_letters,
        no_ids,
        reasoning_eats_limit,
        call_in_tags,
        call_behind_an_open_thought,
        call_fenced,
        call_in_harmony,
        prefix,
        harmony_suffix,
        coded_twice,
        arguments_as_object,
        no_system,
        turns,
        no_length_fields,
        one_length_field,
        one_call_at_a_time,
        no_null_content,
        no_usage,
        streaming_only,
        always_streams,
        streams_carelessly,
        stream_ends_early,
        stream_breaks_off,
        error_in_a_stream,
        silently_cut,
        says_truncated,
    )
}


@contextmanager
def served(quirk: Quirk, play: Sequence[tuple[str, dict[str, Any]]] = MOVES) -> Iterator[tuple[str, Talk]]:
    """The server's base URL, and what it remembers."""
    talk, lock = Talk(play), threading.Lock()

    class Endpoint(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                talk.requests.append(request)
                reply = quirk(talk, request)
            if reply.body is None:
                self.close_connection = True
                return
            body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
            self.send_response_only(reply.status)
            for key, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", talk
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
