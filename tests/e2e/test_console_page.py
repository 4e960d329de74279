"""The page's plates, alerts and counts, in Chromium, with a real console and Redis."""

import shutil
import time

import pytest
import requests
from ai_service import Ai
from conftest import ROOT, wait_until
from playwright.sync_api import sync_playwright
from test_console import Console, a_pass, happen, knows_camera_1, put_camera, streaming  # noqa: F401

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="pt-BR")
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    yield page
    context.close()


def show(tab, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(SCREENSHOTS / f"{name}.png"))


def test_the_watch_list_is_kept_on_the_page(tab, spawn, redis_server, tmp_path, streaming):  # noqa: F811
    console = Console(spawn, redis_server, tmp_path, streaming.url)
    (tmp_path / "none").mkdir()
    ai = Ai(spawn, redis_server.port, tmp_path / "none")  # the list needs no network

    def pass_on(route, request):
        answer = requests.request(request.method, ai.url + request.url.split("/ai", 1)[1], data=request.post_data_buffer, timeout=60,
                                  headers={k: v for k, v in request.headers.items() if k == "content-type"})
        route.fulfill(status=answer.status_code, body=answer.content, content_type="application/json")

    def plates():
        return set(tab.locator(".watch-list .hist-number").all_inner_texts())

    def rows(n):
        tab.wait_for_function(f"() => document.querySelectorAll('.watch-list .hist-row').length === {n}", timeout=60000)

    tab.route("**/ai/**", pass_on)
    tab.set_default_timeout(60000)
    tab.goto(console.url + "/")
    tab.click("#watchlist-open")
    tab.wait_for_selector(".watch-state:not([hidden])")
    assert "Nenhuma placa na lista" in tab.inner_text(".watch-state")
    tab.click(".watch-form button[type=submit]")
    assert "Informe a placa" in tab.inner_text("#watch-plate-error")
    tab.fill("#watch-plate", "abc-1d23")
    tab.fill("#watch-label", "Roubado <i>ontem</i>")
    tab.fill("#watch-expires", "2099-12-31")
    tab.select_option("#watch-severity", "high")
    tab.click(".watch-form button[type=submit]")
    rows(1)
    assert plates() == {"ABC1D23"} and "Roubado <i>ontem</i>" in tab.inner_text(".watch-list") and "Alta" in tab.inner_text(".watch-list")
    assert wait_until(lambda: ai.get("/watchlist").json()["entries"][0], what="the entry")["expires_at"].startswith("2099-12-31")
    tab.set_input_files("#watchlist input[type=file]", {"name": "lista.csv", "mimeType": "text/csv", "buffer": b"plate,label\nXYZ9K87,Visita\nQ*,\n***,x\n"})
    rows(3)
    assert "2 placas incluídas" in tab.inner_text(".watch-result") and "Linha 4: uma placa tem letras" in tab.inner_text(".watch-result")
    for content, word in ((b"plate\nABC1D2\xff\n", "não é um texto em UTF-8"), (b"plate,severity\nABC1D23,urgent\n,\n,high\n", "Linha 2: a gravidade (severity) deve ser low")):
        tab.set_input_files("#watchlist input[type=file]", {"name": "lista.csv", "mimeType": "text/csv", "buffer": content})
        tab.wait_for_function("(word) => document.querySelector('.watch-result').innerText.includes(word)", arg=word)
    show(tab, "watchlist")
    # The other form of the plate finds it, and so does a part of its name.
    tab.fill("#watch-search", "ABC1323")
    rows(1)
    assert plates() == {"ABC1D23"} and "outra forma" in tab.inner_text(".watch-list")
    tab.fill("#watch-search", "visita")
    tab.wait_for_function("() => document.querySelector('.watch-list .hist-number')?.textContent === 'XYZ9K87'")
    tab.click("[aria-label='Remover a placa XYZ9K87']")
    tab.click("#confirm button[value=yes]")
    tab.wait_for_selector(".watch-state:not([hidden])")
    wait_until(lambda: ai.get("/watchlist").json()["count"] == 2, what="the entry gone")
    tab.fill("#watch-search", "")
    rows(2)
    tab.keyboard.press("Escape")
    tab.click("[data-language=en]")
    tab.click("#watchlist-open")
    rows(2)
    tab.wait_for_function("() => /Plates that are looked for/.test(document.querySelector('#watch-title').textContent)")
    tab.set_viewport_size({"width": 420, "height": 800})
    show(tab, "watchlist-small")
    assert not tab.faults


def test_a_camera_may_have_a_smaller_stream(tab, spawn, redis_server, tmp_path, streaming):  # noqa: F811
    console = Console(spawn, redis_server, tmp_path, streaming.url)
    put_camera(redis_server.client(), 1, sub_url="rtsp://operador:s3nha@192.0.2.1/menor")
    put_camera(redis_server.client(), 2)
    assert [c["sub_stream_url"] for c in console.results("/api/cameras/")] == ["/streaming/hls/cam_1_sub/index.m3u8", None]
    sent = []

    def provision(route, request):
        sent.append(request.post_data_json)
        said = {"detail": [{"loc": ["body", "sub_rtsp_url"], "msg": "this host is refused", "type": "value_error"}], "code": "invalid", "field": "sub_rtsp_url"}
        route.fulfill(status=422 if len(sent) == 1 else 200, json=said if len(sent) == 1 else {"success": True})

    tab.route("**/cameras/provision", provision)
    tab.set_default_timeout(60000)
    tab.goto(console.url + "/")
    tab.wait_for_selector(".tile[data-stream=cam_2]")
    tab.wait_for_selector("[data-stream=cam_1] .tile-sub:visible")
    assert tab.locator(".tile-sub:visible").count() == 1
    facts = tab.locator("[data-stream=cam_1] .tile-sub")
    assert facts.inner_text() == "2 fluxos" and "cam_1_sub" in facts.get_attribute("title")
    tab.locator("[data-add]").first.click()
    tab.fill("#add-name", "Portão")
    tab.fill("#add-url", "rtsp://192.0.2.9/grande")
    tab.fill("#add-sub", "192.0.2.9/pequena")
    tab.click("#add button[type=submit]")
    assert "deve começar com rtsp://" in tab.inner_text("#add-sub-error") and not sent
    tab.fill("#add-sub", "rtsp://192.0.2.9/grande")
    tab.click("#add button[type=submit]")
    assert "mesmo endereço" in tab.inner_text("#add-sub-error") and not sent
    tab.fill("#add-user", "operador")
    tab.fill("#add-password", "s3:nha")
    tab.fill("#add-sub", "rtsp://192.0.2.9/pequena")
    tab.click("#add button[type=submit]")
    tab.wait_for_function("() => /refused/.test(document.querySelector('#add-sub-error').textContent)")
    assert tab.get_attribute("#add-sub", "aria-invalid") == "true" and tab.inner_text("#add-url-error") == ""
    show(tab, "add-camera")
    tab.click("#add button[type=submit]")
    tab.wait_for_function("() => !document.querySelector('#add').open")
    assert sent[1] == {"camera_id": 3, "rtsp_url": "rtsp://operador:s3%3Anha@192.0.2.9/grande", "sub_rtsp_url": "rtsp://operador:s3%3Anha@192.0.2.9/pequena",
                       "name": "Portão", "on_demand": False, "ai_enabled": True}
    tab.click("[data-language=en]")
    tab.wait_for_function("() => document.querySelector('[data-stream=cam_1] .tile-sub').innerText === '2 streams'")
    assert not tab.faults


def test_plates_alerts_and_counts_are_shown(tab, spawn, redis_server, tmp_path, streaming):  # noqa: F811
    streaming.cameras[0]["name"] = "Portão <b>norte</b>"
    console = Console(spawn, redis_server, tmp_path, streaming.url)
    client, now = redis_server.client(), int(time.time() * 1000)
    put_camera(client, 1, name="Portão <b>norte</b>")
    knows_camera_1(console)
    for n, plate in enumerate(("ABC1D23", "ABC1323", "XYZ9K87")):
        a_pass(client, 100 + n, plate, wall_ms=now - 60_000 * n, kind=("car", "bus", "truck")[n])
    for n in range(30):
        happen(client, "line.crossed", f"line.crossed/{n}/l1", wall_ms=now - 1000 * n, track_id=n, forward=n % 3 != 0,
               object_type=("car", "motorcycle", "bus")[n % 3], place={"id": "l1", "name": "Entrada"})
    happen(client, "alert", "stopped/1", wall_ms=now - 5000, track_id=1, alert="stopped", place={"id": "z1", "name": "Vaga"}, seconds=61)
    wait_until(lambda: console.get("/api/events/").json()["count"] == 3 * 3 + 31, what="all stored")
    tab.goto(console.url + "/")
    tab.click("[data-history=plates]")
    tab.wait_for_function("() => document.querySelectorAll('.hist-row').length === 3")
    show(tab, "plates")
    assert "Portão <b>norte</b>" in tab.inner_text(".hist-list")
    tab.fill("#hist-plate", "abc-1323")
    tab.click(".hist-form button[type=submit]")
    tab.wait_for_function("() => document.querySelectorAll('.hist-row').length === 2")
    assert {"ABC1D23", "ABC1323"} == set(tab.locator(".hist-number").all_inner_texts())
    tab.fill("#hist-plate", "")
    tab.click("[data-view=counts]")
    tab.wait_for_selector(".hist-count")
    assert "Entrada" in tab.inner_text(".hist-count h3") and {"20", "10"} == set(tab.locator(".hist-count strong").all_inner_texts())
    show(tab, "counts")
    tab.click("[data-view=alerts]")
    tab.wait_for_selector(".hist-row")
    assert "Veículo parado" in tab.inner_text(".hist-list")
    # One more, while the page is open: a notice, and a row.
    happen(client, "alert", "watchlist/2", wall_ms=int(time.time() * 1000), track_id=2, alert="watchlist", plate_number="ABC8D23", plate={
        "number": "ABC8D23", "format": "mercosul", "confidence": 0.9, "list": "w1", "label": "Roubado", "severity": "high",
        "why": "B of the list was read as 8 at position 4 (cost 3.9 of 5.5)"})
    tab.wait_for_function("() => /Placa procurada: ABC8D23/.test(document.querySelector('#notices').textContent)", timeout=60000)
    tab.wait_for_function("() => document.querySelectorAll('.hist-row').length === 2")
    assert "B da lista foi lido como 8 na posição 4" in tab.inner_text(".hist-list")
    show(tab, "alerts")
    tab.set_viewport_size({"width": 1180, "height": 760})
    show(tab, "alerts-small")
    tab.keyboard.press("Escape")
    tab.click("[data-language=en]")
    tab.click("[data-history=alerts]")
    tab.wait_for_function("() => /Plate on the watch-list: ABC8D23/.test(document.querySelector('.hist-list').textContent)")
    assert not tab.faults
