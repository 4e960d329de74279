"""Segments that replicas share in Redis (GTV_L2): two gtv-streaming on a real redis-server, in front of the double of MediaMTX."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture
from test_streaming_hls import FAST, Player, Proxy, uris

from conftest import wait_until


def figure(proxy, line):
    found = re.search(rf"^{re.escape(line)} (\d+)", proxy.get("/metrics").text, re.M)
    return int(found.group(1)) if found else 0


@pytest.fixture
def replicas(spawn, mediamtx_double, redis_server):  # noqa: F811
    node = mediamtx_double(generation="1.20", **{**FAST, "segment_duration": 1.0})
    pair = [Proxy(spawn, node.api_url, node.hls_url, REDIS_URL=redis_server.url(), GTV_L2="true", STREAMING_WORKERS=1,
                  HLS_SEGMENT_CACHE_TTL=60) for _ in range(2)]
    players = [Player(proxy) for proxy in pair]
    for proxy in pair:  # connected: the first looks are answered
        def looks(proxy=proxy):
            proxy.get("/hls/cam_1/nothing_part0.mp4")
            return figure(proxy, 'gtv_streaming_hls_l2_lookups_total{result="miss"}')
        wait_until(looks, what="Redis answers")
    return node, pair, players, redis_server


def newest(player):
    return uris(player.playlist().text)[-1].split("?")[0]


def test_one_fetch_for_all_replicas(replicas):
    node, (one, two), (first, second), server = replicas
    client = server.client()

    def shared():
        """A segment that one fetched and the other took from Redis; on a busy machine a look may come too late, and it fetches by itself."""
        name = newest(first)
        whole = first.get(name)
        assert whole.status_code == 200 and whole.headers["X-Cache"] == "MISS"
        wait_until(lambda: client.exists(f"gtv:hls:cam_1/{name}"), what="the segment is in Redis")
        assert 0 < client.pttl(f"gtv:hls:cam_1/{name}") <= 60_000
        time.sleep(1.1)
        there = second.get(name)
        assert there.status_code == 200 and there.content == whole.content
        return node.count("*" + name) == 1 and (name, whole, there)

    name, whole, there = wait_until(shared, what="a segment that both have, fetched once")
    assert int(there.headers["Age"]) >= 1  # as old as it is, not as new as it is here
    assert there.headers["ETag"] == first.get(name).headers["ETag"] and there.headers["Content-Type"] == whole.headers["Content-Type"]
    assert second.get(name).headers["X-Cache"] == "HIT"
    assert figure(two, 'gtv_streaming_hls_l2_lookups_total{result="hit"}') == 1
    assert requests.get(f"{two.url}/hls/cam_1/{name}", headers={"Range": "bytes=0-9"}, timeout=60).content == whole.content[:10]
    # Playlists and what is not there are asked for by each.
    assert not [key for key in client.scan_iter("gtv:hls:*.m3u8*")]


def test_replicas_that_miss_at_once(replicas):
    node, _, players, _ = replicas
    for _ in range(3):
        name = wait_until(lambda: (lambda n: n if node.count("*" + n) == 0 else None)(newest(players[0])), step=0.2)
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda n, name=name: players[n % 2].get(name), range(8)))
        assert {answer.status_code for answer in got} == {200} and len({answer.content for answer in got}) == 1
        assert node.count("*" + name) <= 2  # one, where the first is done before the others have waited long enough


def test_redis_that_is_paused_or_gone(replicas):
    node, (one, _), (player, _), server = replicas
    for fault in (server.pause, server.stop):
        fault()
        try:
            for _ in range(2):
                name = wait_until(lambda: (lambda n: n if node.count("*" + n) == 0 else None)(newest(player)), step=0.2)
                answer = player.get(name)
                assert answer.status_code == 200 and len(answer.content) > 1000
        finally:
            server.resume()
    server.start()
    name = wait_until(lambda: (lambda n: n if node.count("*" + n) == 0 else None)(newest(player)), step=0.2)
    assert player.get(name).status_code == 200
    assert figure(one, 'gtv_streaming_hls_l2_lookups_total{result="late"}') + figure(one, 'gtv_streaming_hls_l2_lookups_total{result="away"}') > 0


def test_what_is_not_shared(spawn, redis_server):
    from test_streaming_hls import Origin
    origin = Origin()
    try:
        proxy = Proxy(spawn, origin.url, origin.url, REDIS_URL=redis_server.url(), GTV_L2="true", HLS_SEGMENT_CACHE_TTL=60)
        client = redis_server.client()

        def stored(name, **headers):
            origin.headers = headers
            assert proxy.get(f"/hls/cam_1/{name}.ts").status_code == 200
            return client.exists(f"gtv:hls:cam_1/{name}.ts")

        tries = iter(range(1000))
        wait_until(lambda: stored(f"yes{next(tries)}", **{"Cache-Control": "max-age=60"}), what="a segment is in Redis")
        for name, headers in {"n1": {"Cache-Control": "no-store"}, "n2": {"Cache-Control": "private, max-age=60"},
                              "n3": {"Cache-Control": "no-cache", "ETag": '"x"'}, "n4": {"Cache-Control": "max-age=60", "Vary": "Accept"},
                              "n5": {"Cache-Control": "max-age=0"}}.items():
            assert not stored(name, **headers), headers
        time.sleep(0.3)
        assert not [n for n in range(1, 6) if client.exists(f"gtv:hls:cam_1/n{n}.ts")]
    finally:
        origin.server.shutdown()
        origin.server.server_close()
