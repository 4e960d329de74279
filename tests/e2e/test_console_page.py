"""The page's plates, alerts and counts, in Chromium, with a real console and Redis."""

import shutil
import time

import pytest
from conftest import ROOT, wait_until
from playwright.sync_api import sync_playwright
from test_console import Console, a_pass, happen, put_camera, streaming  # noqa: F401

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.fixture
def tab():
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="pt-BR").new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        yield page
        chromium.close()


def show(tab, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(SCREENSHOTS / f"{name}.png"))


def test_plates_alerts_and_counts_are_shown(tab, spawn, redis_server, tmp_path, streaming):  # noqa: F811
    console = Console(spawn, redis_server, tmp_path, streaming.url)
    client, now = redis_server.client(), int(time.time() * 1000)
    put_camera(client, 1, name="Portão <b>norte</b>")
    console.get("/api/cameras/")
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
