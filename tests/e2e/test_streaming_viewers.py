"""gtv-streaming: playback sessions, limits, figures and signed addresses. The media node is Origin, the double of test_streaming.py."""

import base64
import hashlib
import hmac
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import free_port, wait_until
from test_streaming import SEGMENT, Origin, Streaming

KEY, ADMIN = "a-playback-key-of-32-bytes------", "only-the-console-knows"


@pytest.fixture
def origin():
    double = Origin()
    yield double
    double.stop()


@pytest.fixture
def proxy(spawn, origin):
    return Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2")


def uris(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Player:
    """Does what a player does: follows the playlists' addresses as they are written."""

    def __init__(self, streaming, stream="cam_1", query="", **headers):
        self.streaming, self.base, self.headers = streaming, f"/hls/{stream}/", headers
        self.index = self.get("index.m3u8" + query)
        self.media_uri = uris(self.index.text)[0] if self.index.status_code == 200 else None

    def get(self, uri):
        return self.streaming.get(self.base + uri, headers=self.headers)

    def playlist(self):
        return self.get(self.media_uri)

    def segments(self, n=1):
        return [self.get(uri) for uri in uris(self.playlist().text)[:n]]

    @property
    def token(self):
        return re.search(r"session=([\w-]+)", self.media_uri).group(1)


def viewers(streaming, stream="cam_1"):
    return streaming.get(f"/streams/{stream}/viewers").json()


def test_a_viewer_is_a_session_and_not_a_request(proxy, origin):
    one = Player(proxy)
    assert re.fullmatch(r"main_stream\.m3u8\?session=[\w-]{43}", one.media_uri)
    playlist = one.playlist()
    assert playlist.headers["Cache-Control"].startswith("private") or playlist.headers["Cache-Control"] == "no-cache"
    assert int(playlist.headers["Content-Length"]) == len(playlist.content)
    assert all(uri.endswith("?session=" + one.token) for uri in uris(playlist.text)) and len(uris(playlist.text)) == 3
    for _ in range(4):
        assert one.playlist().status_code == 200
    first, again = one.get(uris(playlist.text)[0]), one.get(uris(playlist.text)[0])
    assert first.content == again.content == SEGMENT and again.headers["X-Cache"] == "HIT"
    assert viewers(proxy)["viewers"] == 1
    other = Player(proxy)  # the same address, the same user agent: another player all the same
    assert other.token != one.token and other.segments()[0].headers["X-Cache"] in ("HIT", "MISS")
    shown = viewers(proxy)
    assert shown["viewers"] == 2 and shown["peak"] == 2 and len(shown["sessions"]) == 2
    assert one.token not in str(shown) and other.token not in str(shown)
    # Both players' segments are one file in the cache.
    asked = [path for path in origin.asked if path.endswith(".ts")]
    assert len(asked) == len(set(asked))


def test_what_a_session_shows(proxy):
    player = Player(proxy, **{"User-Agent": "câmera/1".encode().decode("latin-1"), "X-Forwarded-For": "203.0.113.9"})
    player.segments(2)
    session = viewers(proxy)["sessions"][0]
    assert session["address"] == "203.0.113.9" and re.fullmatch("[0-9a-f]{16}", session["session"])
    assert session["bytes"] > 2 * len(SEGMENT) and session["requests"] == 4
    assert session["stalls"] == 0 and session["since"] <= session["last_request"]
    assert viewers(proxy)["bitrate"] >= 0 and 0 <= viewers(proxy)["hit_ratio"] <= 1


def test_the_clients_own_session_and_nonsense(proxy):
    mine = Player(proxy, query="?session=my-own_id")
    assert mine.media_uri == "main_stream.m3u8?session=my-own_id"
    assert Player(proxy, query="?session=my-own_id").token == "my-own_id" and viewers(proxy)["viewers"] == 1
    for odd in ("a%0d%0ab", "x" * 65, "%22%3E", ""):
        assert re.fullmatch("[\\w-]{43}", Player(proxy, query=f"?session={odd}").token), odd


def test_who_asks_without_a_session_is_one_viewer(proxy):
    for _ in range(3):
        playlist = proxy.get("/hls/cam_1/main_stream.m3u8")
        proxy.get("/hls/cam_1/" + uris(playlist.text)[0])
        proxy.get("/hls/cam_1/" + uris(playlist.text)[0].split("?")[0])
    assert viewers(proxy)["viewers"] == 1


def test_a_stall_is_seen_by_request_times(proxy):
    player = Player(proxy)
    player.segments(1)  # 2 s of video
    time.sleep(3.4)
    player.segments(1)
    session = viewers(proxy)["sessions"][0]
    assert session["stalls"] == 1 and 1.0 < session["stalled_seconds"] < 8


def test_the_next_viewer_is_refused_and_nobody_is_cut(spawn, origin):
    two = Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2", MAX_CONNECTIONS_PER_STREAM=2)
    watching = [Player(two), Player(two)]
    refused = two.get("/hls/cam_1/index.m3u8")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    assert refused.json()["code"] == "too_many" and "2 viewers" in refused.json()["detail"]
    for _ in range(3):
        for player in watching:
            assert [s.status_code for s in player.segments(2)] == [200, 200]
        assert two.get("/hls/cam_1/index.m3u8").status_code == 429
    assert Player(two, "cam_2").index.status_code == 200
    assert viewers(two)["viewers"] == 2 and viewers(two)["limit"] == 2


def test_many_players_at_once_have_a_session_each(spawn, origin):
    many = Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2", MAX_CONNECTIONS_PER_STREAM=40)
    origin.target = 20  # nobody is given up while the others begin
    with ThreadPoolExecutor(20) as pool:
        players = list(pool.map(lambda _: Player(many), range(50)))
    assert sum(p.index.status_code == 200 for p in players) == 40 and sum(p.index.status_code == 429 for p in players) == 10
    good = [p for p in players if p.media_uri]
    assert len({p.token for p in good}) == 40
    with ThreadPoolExecutor(20) as pool:
        assert all(s[0].status_code == 200 for s in pool.map(lambda p: p.segments(), good))
    assert viewers(many)["viewers"] == 40


def test_an_operator_ends_a_session(proxy):
    player, other = Player(proxy, **{"User-Agent": "one"}), Player(proxy, **{"User-Agent": "two"})
    player.segments(), other.segments()
    session = next(s["session"] for s in viewers(proxy)["sessions"] if s["user_agent"] == "one")
    kick = requests.post(f"{proxy.url}/streams/cam_1/viewers/{session}/kick", timeout=60)
    assert kick.status_code == 200 and kick.json()["success"] is True
    assert player.playlist().status_code == 403 and player.playlist().json()["code"] == "forbidden"
    assert player.get("index.m3u8").status_code == 403  # nor is the same client let in again at once
    assert other.playlist().status_code == 200 and viewers(proxy)["viewers"] == 1
    assert requests.post(f"{proxy.url}/streams/cam_1/viewers/{session}/kick", timeout=60).status_code == 404


# ---- signed addresses ----

@pytest.fixture
def locked(spawn, origin):
    return Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2", GTV_PLAYBACK_KEY=KEY, GTV_PLAYBACK_ADMIN_KEY=ADMIN)


def mint(streaming, body, secret=ADMIN):
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return requests.post(streaming.url + "/playback/tokens", json=body, headers=headers, timeout=60)


def own_grant(stream, expires, key=KEY):
    """The documented format, made by somebody else than gtv-streaming."""
    head = int(expires).to_bytes(8, "big") + b"12345678"
    tag = hmac.new(key.encode(), b"gtv-playback\n" + stream.encode() + b"\n" + head, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(head + tag).decode().rstrip("=")


def test_playback_needs_a_signed_address(locked, origin):
    assert locked.get("/hls/cam_1/index.m3u8").status_code == 401
    assert locked.get("/hls/cam_1/abc_main_seg1.ts").status_code == 401
    assert locked.get("/hls/cam_1/index.m3u8?session=guessed").status_code == 401
    assert locked.get("/hls/cam_1/index.m3u8?token=nonsense").status_code == 403
    assert not [path for path in origin.asked if path.startswith("/cam_")]  # nothing was fetched for them
    minted = mint(locked, {"stream": "cam_1", "ttl_s": 60})
    assert minted.status_code == 200 and abs(minted.json()["expires"] - time.time() - 60) < 30
    assert minted.json()["url"] == "/streaming/hls/cam_1/index.m3u8?token=" + minted.json()["token"]
    player = Player(locked, query="?token=" + minted.json()["token"])
    assert player.segments()[0].content == SEGMENT and "token=" not in player.index.text
    assert locked.get(f"/hls/cam_2/index.m3u8?token={minted.json()['token']}").status_code == 403
    assert locked.get(f"/hls/cam_2/main_stream.m3u8?session={player.token}").status_code == 401
    assert locked.get(f"/hls/cam_1/main_stream.m3u8?session={player.token[:-2]}AA").status_code == 401


def test_a_token_ends_but_a_playback_goes_on(locked):
    assert Player(locked, query="?token=" + own_grant("cam_1", time.time() + 60)).segments()[0].status_code == 200
    late = locked.get("/hls/cam_1/index.m3u8?token=" + own_grant("cam_1", time.time() - 1))
    assert late.status_code == 403 and late.json()["field"] == "token"
    assert locked.get("/hls/cam_1/index.m3u8?token=" + own_grant("cam_1", time.time() + 60, "another-key-of-a-good-length")).status_code == 403
    player = Player(locked, query="?token=" + own_grant("cam_1", time.time() + 4))
    time.sleep(4.5)
    assert player.segments()[0].status_code == 200


def test_a_kick_ends_the_address_too(locked):
    query = "?token=" + own_grant("cam_1", time.time() + 60)
    player = Player(locked, query=query)
    player.segments()
    url = f"{locked.url}/streams/cam_1/viewers/{viewers(locked)['sessions'][0]['session']}/kick"
    assert requests.post(url, timeout=60).status_code == 401
    assert requests.post(url, headers={"Authorization": "Bearer wrong"}, timeout=60).status_code == 401
    assert requests.post(url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60).status_code == 200
    assert player.playlist().status_code == 403
    assert locked.get("/hls/cam_1/index.m3u8" + query, headers={"User-Agent": "elsewhere"}).status_code == 403
    fresh = "?token=" + own_grant("cam_1", time.time() + 61)
    assert locked.get("/hls/cam_1/index.m3u8" + fresh, headers={"User-Agent": "elsewhere"}).status_code == 200


@pytest.mark.parametrize("body, field", [({}, "stream"), ({"stream": "a b"}, "stream"), ({"stream": 1}, "stream"),
                                         ({"stream": "cam_1", "ttl_s": 0}, "ttl_s"), ({"stream": "cam_1", "ttl_s": 10**9}, "ttl_s")])
def test_a_wish_for_a_token_is_checked(locked, body, field):
    assert mint(locked, body, None).status_code == 401 and mint(locked, body, "x").status_code == 401
    answer = mint(locked, body)
    assert answer.status_code == 422 and answer.json()["field"] == field


def test_without_a_key_there_are_no_tokens(proxy):
    assert mint(proxy, {"stream": "cam_1"}).status_code == 409


# ---- figures ----

def test_stats_have_real_figures(spawn, origin):
    origin.paths = {"cam_1": {"ready": True}}
    watched = Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2")
    player = Player(watched)
    for _ in range(2):
        player.segments(3)

    def seen():
        stats = watched.get("/stats").json()
        stream = next(s for s in stats["streams"] if s["path"] == "cam_1")
        return stats, stream, stats["bitrate"] > 0 and stream["bitrate"] > 0
    stats, stream, _ = wait_until(lambda: (s := seen())[2] and s, what="a bitrate")
    assert stats["total_viewers"] == stream["readers"] == 1 and stats["peak_viewers"] == stream["peak_readers"] == 1
    assert stats["total_bytes_sent"] == stream["bytes_sent"] > 3 * len(SEGMENT)
    assert 0 < stats["hit_ratio"] < 1 and stats["requests"] == stream["requests"] == 9


def history(streaming, **query):
    return streaming.get("/stats/history", params=query)


@pytest.mark.parametrize("query, field", [
    ({"stream": "a b"}, "stream"), ({"stream": "../x"}, "stream"), ({"stream": ""}, "stream"), ({"from": "yesterday"}, "from"), ({"from": "4000000000"}, "from"),
    ({"from": ""}, "from"), ({"step": "0"}, "step"), ({"step": "61"}, "step"), ({"step": "1e3"}, "step"), ({"step": "86460"}, "step")])
def test_history_is_checked(proxy, query, field):
    answer = history(proxy, **query)
    assert answer.status_code == 422 and answer.json()["field"] == field and answer.json()["detail"][0]["loc"] == ["query", field]


def test_history_without_redis_is_told_from_memory(proxy):
    Player(proxy).segments(2)
    wait_until(lambda: any(p["viewers_max"] == 1 for p in history(proxy, stream="cam_1").json()["points"][-2:]))
    answer = history(proxy, stream="cam_1", step=3600).json()
    assert answer["source"] == "memory" and answer["stream"] == "cam_1" and answer["step_seconds"] == 3600 and len(answer["points"]) == 24
    assert sum(p["bytes"] for p in answer["points"][-2:]) > len(SEGMENT) and sum(p["requests"] for p in answer["points"][-2:]) == 4  # a new hour may have begun
    assert len(history(proxy).json()["points"]) == 1440


def test_history_is_a_day_of_minutes_in_redis(spawn, origin, redis_server):
    kept = Streaming(spawn, origin.url, origin.url, redis_server.url())
    client, minute = redis_server.client(), int(time.time()) // 60
    # Two replicas in one minute, a minute before it, one that is too old, and one that is not ours.
    client.zadd("gtv:history:cam_1", {
        f"{minute - 5}:a:3:120:1000:10:9": minute - 5, f"{minute - 5}:b:3:180:3000:10:1": minute - 5,
        f"{minute - 9}:a:2:60:500:5:5": minute - 9, f"{minute - 1500}:a:9:9:9:9:9": minute - 1500, "nonsense": minute - 5})
    points = wait_until(lambda: (h := history(kept, stream="cam_1", **{"from": (minute - 10) * 60}).json())["source"] == "redis" and h)["points"]
    assert len(points) in (11, 12)
    assert points[5] == {"time": points[5]["time"], "viewers_max": 3, "viewers": 3.0, "bytes": 4000, "bitrate": 533, "requests": 20, "hit_ratio": 0.5}
    assert points[1]["bytes"] == 500 and points[2]["hit_ratio"] is None
    whole = history(kept, stream="cam_1").json()["points"]
    assert sum(p["bytes"] for p in whole) == 4500
    redis_server.stop()
    assert history(kept, stream="cam_1").status_code == 200


# ---- replicas ----

def test_replicas_count_together(spawn, origin, redis_server):
    def replica():
        return Streaming(spawn, origin.url, origin.url, redis_server.url(), MAX_CONNECTIONS_PER_STREAM=3)
    one, two = replica(), replica()
    client = redis_server.client()
    wait_until(lambda: client.zcard("gtv:replicas") == 2 and client.exists("gtv:playback:key"))
    both, here = Player(one), Player(one)
    there = Player(two)

    def watch():
        both.streaming = one
        both.segments()
        both.streaming = two  # the door sends a session's requests to any replica
        both.segments()
        here.segments(), there.segments()
        return viewers(one)["viewers"] == viewers(two)["viewers"] == 3
    wait_until(watch, step=0.5, what="both replicas count three")
    shown = {s["session"] for s in viewers(one)["sessions"]}
    assert len(shown) == 3 and shown == {s["session"] for s in viewers(two)["sessions"]}
    assert one.get("/stats").json()["total_viewers"] == 3
    for full in (one, two):
        assert full.get("/hls/cam_1/index.m3u8").status_code == 429
    watch()
    # Ended at one replica, though it watches through the other.
    session = hashlib.sha256(there.token.encode()).hexdigest()[:16]
    assert requests.post(f"{one.url}/streams/cam_1/viewers/{session}/kick", timeout=60).status_code == 200

    def ended():
        here.segments()
        return there.playlist().status_code == 403
    wait_until(ended, step=0.5, what="the other replica ended it")
    redis_server.stop()
    assert here.segments()[0].status_code == 200 and Player(two, "cam_2").index.status_code == 200
