"""A path's configuration as MediaMTX takes and refuses it."""

import json
import re
import urllib.parse

GENERATIONS = {"1.20": "v1.20.1-6-g3e09466c", "1.15": "v1.15.6"}


class Refused(Exception):
    """An answer that is an error: its code and MediaMTX's sentence."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


STR, BOOL, INT, FLOAT, TIME, LIST = "string", "bool", "int", "float64", "duration", "list"


def conf_fields(generation):
    """name -> (kind, default), in the order of GET /v3/config/paths/get; both of a kind that JSON shows.

    The measured 1.20 build has 84 keys; its documentation names two more that belong to the Raspberry Pi's camera, and they are left out.
    """
    new = generation == "1.20"
    fields = {
        "source": (STR, "publisher"), "sourceFingerprint": (STR, ""), "sourceOnDemand": (BOOL, False),
        "sourceOnDemandStartTimeout": (TIME, "10s"), "sourceOnDemandCloseAfter": (TIME, "10s"), "maxReaders": (INT, 0),
        "srtReadPassphrase": (STR, ""), "useAbsoluteTimestamp": (BOOL, False)}
    if new:
        fields.update({"alwaysAvailable": (BOOL, False), "alwaysAvailableFile": (STR, ""), "alwaysAvailableTracks": (LIST, [])})
    fields.update({
        "record": (BOOL, False), "recordPath": (STR, "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f"), "recordFormat": (STR, "fmp4"),
        "recordPartDuration": (TIME, "1s"), "recordMaxPartSize": (STR, "50M"), "recordSegmentDuration": (TIME, "1h0m0s"),
        "recordDeleteAfter": (TIME, "1d")})
    if new:
        fields["forward"] = (LIST, [])
    fields.update({
        "overridePublisher": (BOOL, True), "srtPublishPassphrase": (STR, ""), "rtspDemuxMpegts": (BOOL, False),
        "rtspTransport": (STR, "automatic"), "rtspAnyPort": (BOOL, False), "rtspRangeType": (STR, ""), "rtspRangeStart": (STR, ""),
        "rtspUDPSourcePortRange": (LIST, [10000, 65535]), "rtpSDP": (STR, ""), "sourceRedirect": (STR, ""), "whepBearerToken": (STR, ""),
        "whepSTUNGatherTimeout": (TIME, "5s"), "whepHandshakeTimeout": (TIME, "10s"), "whepTrackGatherTimeout": (TIME, "2s")})
    camera = [("CamID", INT, 0), ("Secondary", BOOL, False), ("Width", INT, 1920), ("Height", INT, 1080), ("HFlip", BOOL, False),
              ("VFlip", BOOL, False), ("Brightness", FLOAT, 0), ("Contrast", FLOAT, 1), ("Saturation", FLOAT, 1), ("Sharpness", FLOAT, 1),
              ("Exposure", STR, "normal"), ("AWB", STR, "auto"), ("AWBGains", LIST, [0, 0]), ("Denoise", STR, "off"), ("Shutter", INT, 0),
              ("Metering", STR, "centre"), ("Gain", FLOAT, 0), ("EV", FLOAT, 0), ("ROI", STR, ""), ("HDR", BOOL, False),
              ("TuningFile", STR, ""), ("Mode", STR, ""), ("FPS", FLOAT, 30), ("AfMode", STR, "continuous"), ("AfRange", STR, "normal"),
              ("AfSpeed", STR, "normal"), ("LensPosition", FLOAT, 0), ("AfWindow", STR, ""), ("FlickerPeriod", INT, 0),
              ("TextOverlayEnable", BOOL, False), ("TextOverlay", STR, "%Y-%m-%d %H:%M:%S - MediaMTX"), ("Codec", STR, "auto"),
              ("IDRPeriod", INT, 60), ("Bitrate", INT, 5000000), ("MJPEGQuality", INT, 60)]
    fields.update({"rpiCamera" + name: (kind, value) for name, kind, value in camera})
    up, down = ("Available", "Unavailable") if new else ("Ready", "NotReady")
    fields.update({
        "runOnInit": (STR, ""), "runOnInitRestart": (BOOL, False), "runOnDemand": (STR, ""), "runOnDemandRestart": (BOOL, False),
        "runOnDemandStartTimeout": (TIME, "10s"), "runOnDemandCloseAfter": (TIME, "10s"), "runOnUnDemand": (STR, ""),
        f"runOn{up}": (STR, ""), f"runOn{up}Restart": (BOOL, False), f"runOn{down}": (STR, ""), "runOnRead": (STR, ""),
        "runOnReadRestart": (BOOL, False), "runOnUnread": (STR, ""), "runOnRecordSegmentCreate": (STR, ""),
        "runOnRecordSegmentComplete": (STR, "")})
    return fields


UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


def seconds_of(text):
    """Go's duration ("1h0m0s"), with MediaMTX's days."""
    at, total = 0, 0.0
    while match := DURATION.match(text, at):
        total, at = total + float(match[1]) * UNITS[match[2]], match.end()
    if not at or at != len(text):
        raise Refused(400, f'time: invalid duration "{text}"')
    return total


def name_fault(name, generation):
    """What is wrong with a path's name, or None."""
    new = generation == "1.20"
    if not name:
        return "cannot be empty"
    if name[0] == "/":
        return "can't begin with a slash"
    if name[-1] == "/":
        return "can't end with a slash"
    if not re.fullmatch(r"[0-9a-zA-Z_\-/.]+" if new else r"[0-9a-zA-Z_\-/.~:]+", name):
        return ("can contain only alphanumeric characters, underscore, dot, minus, slash" if new else
                "can contain only alphanumeric characters, underscore, dot, tilde, minus, slash, colon")
    if new and any(part in (".", "..") for part in name.split("/")):
        return "can't contain dot path segments"
    return None


def json_error(error, text, generation):
    """Go's sentence for Python's complaint."""
    if error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip()):
        if generation == "1.15":
            return "EOF" if not text.strip() else "unexpected EOF"
        return "unexpected end of JSON input"
    where = {"Expecting value": "looking for beginning of value", "Extra data": "after top-level value",
             "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
             "Expecting ':' delimiter": "after object key", "Expecting ',' delimiter": "after object key:value pair"}
    return f"invalid character '{text[error.pos]}' {where.get(error.msg, 'in string literal')}"


def decode_object(body, generation):
    def constant(name):
        raise Refused(400, f"invalid character '{name[0]}' looking for beginning of value")

    text = body.decode("utf-8", "replace")
    decoder = json.JSONDecoder(parse_constant=constant)
    try:
        start = len(text) - len(text.lstrip(" \t\r\n"))
        value, end = decoder.raw_decode(text, start)
        rest = text[end:].lstrip(" \t\r\n")
        if rest and generation == "1.20":
            raise Refused(400, f"invalid character '{rest[0]}' after top-level value")
    except json.JSONDecodeError as error:
        raise Refused(400, json_error(error, text, generation)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(400, f"json: cannot unmarshal {json_kind(value)} into Go value of type map[string]json.RawMessage")
    return value


def json_kind(value):
    return ("bool" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "string" if isinstance(value, str)
            else "array" if isinstance(value, list) else "object")


def decode_conf(body, fields, generation):
    """The given fields of a path's configuration, checked one by one."""
    given, out = decode_object(body, generation), {}
    for name, value in given.items():
        if name not in fields:
            raise Refused(400, f'json: unknown field "{name}"')
        kind = fields[name][0]
        wanted = {STR: str, TIME: str, BOOL: bool, INT: int, FLOAT: (int, float), LIST: list}[kind]
        if value is None:
            continue
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != BOOL):
            go = {TIME: "string", LIST: "[]string"}.get(kind, kind)
            into = "Go value" if generation == "1.20" else f"Go struct field .{name}"
            raise Refused(400, f"json: cannot unmarshal {json_kind(value)} into {into} of type {go}")
        if kind == TIME:
            seconds_of(value)
        if name == "recordFormat" and value not in ("fmp4", "mpegts"):
            raise Refused(400, f"invalid record format '{value}'")
        if name == "rtspTransport" and value not in ("udp", "multicast", "tcp", "automatic"):
            raise Refused(400, f"invalid protocol '{value}'")
        out[name] = value
    return out


SCHEMES = ("rtsp", "rtsps", "rtsp+http", "rtsps+http", "rtsp+ws", "rtsps+ws", "rtmp", "rtmps", "http", "https", "udp", "udp+mpegts",
           "udp+rtp", "unix+mpegts", "unix+rtp", "srt", "whep", "wheps")


def check_source(source, generation):
    if source in ("publisher", "redirect", "rpiCamera"):
        return
    scheme, found, rest = source.partition("://")
    if not found or scheme not in SCHEMES:
        raise Refused(400, f"invalid source: '{source}'")
    try:
        url = urllib.parse.urlsplit(source)
        good = url.port is None or url.port >= 0
        good = good and not re.search(r"[\x00-\x20\x7f]", source)
    except ValueError:
        good = False
    if generation == "1.20" and not rest:
        good = False
    if not good:
        raise Refused(400, f"'{source}' is not a valid URL")


def check_conf(name, conf, generation):
    if name.startswith("~"):
        try:
            re.compile(name[1:])
        except re.error:
            raise Refused(400, f"invalid regular expression: {name[1:]}") from None
    elif name not in ("all", "all_others"):
        fault = name_fault(name, generation)
        if fault:
            raise Refused(400, f"invalid path name '{name}': {fault}")
    check_source(conf["source"], generation)
    if conf["sourceOnDemand"] and conf["source"] == "publisher":
        raise Refused(400, "'sourceOnDemand' is useless when source is 'publisher'")
    if "%path" not in conf["recordPath"]:
        raise Refused(400, "'recordPath' must contain %path")
