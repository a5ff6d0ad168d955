"""One cell of the matrix: `client.py CLIENT CASE` does what the case says with this client, the way its users would, and
prints one line of JSON: what each request got, and what a library read in the challenges."""

import asyncio
import importlib
import json
import os
import ssl
import sys

URL, PKI = os.environ["URL"], os.environ["PKI"]
SMALL, LARGE = b"x" * 3_000, b"x" * 20_000_000
# Some wait in vain for the answer to a large upload.
PATIENCE = 5 if sys.argv[2] == "large" else 20


def fields(token="TOKEN", **more):
    named = {"x-cell": os.environ["CELL"], **{name.replace("_", "-"): value for name, value in more.items()}}
    return {**named, "authorization": "Bearer " + os.environ[token]} if token else named


def tls():
    context = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
    context.load_cert_chain(f"{PKI}/alice.pem", f"{PKI}/alice.key")
    return context


def challenge(field):
    """As Werkzeug reads it, since none of these clients does."""
    from werkzeug.datastructures import WWWAuthenticate

    read = WWWAuthenticate.from_header(field)
    return {"scheme": read.type, **read.parameters}


def attempt(call):
    """The status, or how the client failed."""
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Requests:
    def __init__(self, _):
        import requests

        self.session = requests.Session()
        self.session.verify, self.session.cert = f"{PKI}/ca.pem", (f"{PKI}/alice.pem", f"{PKI}/alice.key")

    def call(self, method, path, headers, body=None):
        return self.session.request(method, URL + path, headers=headers, data=body, timeout=PATIENCE)

    def hang_up(self):
        self.session.close()

    def retrying(self):
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        self.session.mount("https://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[429])))

    def events(self, path, headers):
        answer = self.session.get(URL + path, headers=headers, stream=True, timeout=PATIENCE)
        return answer.status_code, (line.decode() for line in answer.iter_lines())


class Httpx:
    def __init__(self, options):
        import httpx

        self.options = options
        self.client = httpx.Client(**self.options, timeout=PATIENCE)

    def call(self, method, path, headers, body=None):
        return self.client.request(method, URL + path, headers=headers, content=body)

    def hang_up(self):
        self.client.close()
        self.__init__(self.options)

    def retrying(self):
        import httpx
        from httpx_retries import Retry, RetryTransport

        transport = RetryTransport(httpx.HTTPTransport(**self.options), Retry(total=3, status_forcelist=[429]))
        self.client = httpx.Client(transport=transport, timeout=PATIENCE)

    def events(self, path, headers):
        request = self.client.build_request("GET", URL + path, headers=headers)
        answer = self.client.send(request, stream=True)
        return answer.status_code, answer.iter_lines()


def blocking(client, case):
    status = lambda *request: attempt(lambda: client.call(*request).status_code)
    match case:
        case "honest":
            return {"answers": [status("GET", "/orders/7", fields())]}
        case "resumed":
            answers = []
            for _ in range(3):
                answers.append(status("GET", "/mesh", fields(None)))
                client.hang_up()
            return {"answers": answers}
        case "small":
            return {"answers": [status("POST", "/orders", fields(None), SMALL) for _ in range(20)]}
        case "large":
            return {"answers": [status("POST", "/orders", fields(None), LARGE) for _ in range(2)]}
        case "kept":
            refused = [status("POST", "/orders", fields(None), SMALL) for _ in range(3)]
            return {"answers": [*refused, status("GET", "/orders/7", fields())]}
        case "retry":
            client.retrying()
            return {"answers": [status("GET", "/limited", fields()) for _ in range(2)]}
        case "challenge":
            answers = [client.call("GET", "/orders/7", fields(token)) for token in [None, "WEAK_TOKEN"]]
            read = [challenge(answer.headers["www-authenticate"]) for answer in answers]
            return {"answers": [answer.status_code for answer in answers], "challenges": read}
        case "stream":
            refused, _ = client.events("/events", fields(None))
            status, lines = client.events("/events", fields(x_upstream_events="3"))
            return {"answers": [refused, status], "events": [next(lines) for _ in range(6)][::2]}


async def aiohttp(case):
    library = importlib.import_module("aiohttp")
    connector = library.TCPConnector(ssl=tls(), force_close=case == "resumed")
    async with library.ClientSession(URL, connector=connector, timeout=library.ClientTimeout(PATIENCE)) as session:

        async def answer(method, path, headers, body=None):
            async with session.request(method, path, headers=headers, data=body) as answer:
                await answer.read()
                return answer

        async def status(*request):
            try:
                return (await answer(*request)).status
            except Exception as error:
                return f"{type(error).__name__}: {error}"

        async def patient():
            """No library in common use for it reads Retry-After: by hand."""
            for _ in range(3):
                last = await answer("GET", "/limited", fields())
                if last.status != 429:
                    break
                await asyncio.sleep(int(last.headers["retry-after"]))
            return last.status

        match case:
            case "honest":
                return {"answers": [await status("GET", "/orders/7", fields())]}
            case "resumed":
                return {"answers": [await status("GET", "/mesh", fields(None)) for _ in range(3)]}
            case "small":
                return {"answers": [await status("POST", "/orders", fields(None), SMALL) for _ in range(20)]}
            case "large":
                return {"answers": [await status("POST", "/orders", fields(None), LARGE) for _ in range(2)]}
            case "kept":
                refused = [await status("POST", "/orders", fields(None), SMALL) for _ in range(3)]
                return {"answers": [*refused, await status("GET", "/orders/7", fields())]}
            case "retry":
                return {"answers": [await patient() for _ in range(2)]}
            case "challenge":
                answers = [await answer("GET", "/orders/7", fields(token)) for token in [None, "WEAK_TOKEN"]]
                read = [challenge(answer.headers["www-authenticate"]) for answer in answers]
                return {"answers": [answer.status for answer in answers], "challenges": read}
            case "stream":
                refused = await status("GET", "/events", fields(None))
                async with session.get("/events", headers=fields(x_upstream_events="3")) as stream:
                    events = [(await stream.content.readline()).decode().strip() for _ in range(6)][::2]
                    return {"answers": [refused, stream.status], "events": events}


def grpc(case):
    library = importlib.import_module("grpc")
    read = lambda name: open(f"{PKI}/{name}", "rb").read()
    credentials = library.ssl_channel_credentials(read("ca.pem"), read("alice.key"), read("alice.pem"))
    options = []
    if case == "retry":
        policy = {"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
                  "retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}
        service = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
        options = [("grpc.service_config", json.dumps(service))]
    if case == "resumed":
        from grpc.experimental import session_cache

        cache = session_cache.ssl_session_cache_lru(8)
        options = [("grpc.ssl_session_cache", cache), ("grpc.use_local_subchannel_pool", 1)]
    dial = lambda: library.secure_channel(URL.removeprefix("https://"), credentials, options)
    channel = dial()

    def call(method, headers, message=b"", channel=channel):
        return channel.unary_unary(f"/orders.Orders/{method}").with_call(
            message, metadata=list(headers.items()), timeout=PATIENCE)[1]

    def code(*request, **through):
        try:
            return call(*request, **through).code().value[0]
        except library.RpcError as error:
            return error.code().value[0] if error.details() else str(error)

    ok = {"x_upstream_grpc_trailers": "0"}
    match case:
        case "honest":
            return {"answers": [code("Get", fields(**ok))]}
        case "resumed":
            answers = []
            for _ in range(3):
                with dial() as other:
                    answers.append(code("Peer", fields(None, **ok), channel=other))
            return {"answers": answers}
        case "small":
            return {"answers": [code("Get", fields(None), SMALL) for _ in range(20)]}
        case "large":
            return {"answers": [code("Get", fields(None), LARGE) for _ in range(2)]}
        case "kept":
            refused = [code("Get", fields(None), SMALL) for _ in range(3)]
            return {"answers": [*refused, code("Get", fields(**ok))]}
        case "retry":
            return {"answers": [code("Limited", fields(**ok)) for _ in range(2)]}
        case "challenge":
            answers, challenges = [], []
            for token in [None, "WEAK_TOKEN"]:
                try:
                    answers.append(call("Get", fields(token)).code().value[0])
                except library.RpcError as error:
                    answers.append(error.code().value[0])
                    challenges.append(challenge(dict(error.trailing_metadata())["www-authenticate"]))
            return {"answers": answers, "challenges": challenges}
        case "stream":
            answers, events = [], []
            for headers in [fields(None), fields(x_upstream_grpc_trailers="never")]:
                stream = channel.unary_stream("/orders.Orders/Get")(b"", metadata=list(headers.items()))
                try:
                    events.append(next(stream).decode())
                    answers.append(0)
                except library.RpcError as error:
                    answers.append(error.code().value[0])
                stream.cancel()
            return {"answers": answers, "events": events}


def cell(client, case):
    match client:
        case "requests":
            return blocking(Requests(None), case)
        case "httpx":
            return blocking(Httpx({"verify": tls()}), case)
        case "httpx HTTP/2":
            return blocking(Httpx({"verify": tls(), "http1": False, "http2": True}), case)
        case "aiohttp":
            return asyncio.run(aiohttp(case))
        case "grpcio":
            return grpc(case)


print(json.dumps(cell(*sys.argv[1:3])), flush=True)
# Streams that never end are left where they are.
os._exit(0)
