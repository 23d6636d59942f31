"""What an editor shows of each key of rule files and config.toml, in both languages."""

from collections.abc import Mapping

from engine.locale import Text

_ENTRY = {
    "metric": Text("What is measured.", "무엇을 재는지."),
    "window": Text(
        'Its change over the last "30s", "5m", …; left out: the day so far.',
        '최근 "30s", "5m" 동안의 변화. 생략하면 당일 누적.',
    ),
    "above": Text(
        'Holds while the value is > X. X is a number or text such as "3만주", "50억원".',
        '값 > X인 동안 성립. X는 숫자 또는 "3만주", "50억원" 같은 문자열.',
    ),
    "at_least": Text("Holds while the value is ≥ X.", "값 ≥ X인 동안 성립."),
    "below": Text("Holds while the value is < X.", "값 < X인 동안 성립."),
    "at_most": Text("Holds while the value is ≤ X.", "값 ≤ X인 동안 성립."),
    "outside": Text(
        "[lo, hi]: holds while the value is < lo or > hi.", "[하한, 상한]: 값 < 하한 또는 값 > 상한인 동안 성립."
    ),
    "inside": Text("[lo, hi]: holds while lo ≤ the value ≤ hi.", "[하한, 상한]: 하한 ≤ 값 ≤ 상한인 동안 성립."),
    "crosses_above": Text(
        "One moment: the value was ≤ X and is now > X. Such a rule has no for, keep_firing_for, repeat, resolved.",
        "한 순간: 값이 X 이하였다가 X를 넘을 때. 이런 규칙에는 for, keep_firing_for, repeat, resolved를 쓸 수 없음.",
    ),
    "crosses_below": Text(
        "One moment: the value was ≥ X and is now < X.", "한 순간: 값이 X 이상이었다가 X 아래로 내려갈 때."
    ),
    "reset": Text(
        "Once it holds, it holds until the value is back here; after a crossing, it must have been back here.",
        "한번 성립하면 값이 여기로 돌아올 때까지 유지. 교차는 여기로 돌아온 뒤에야 다시 알림.",
    ),
    "all": Text("All of these must hold.", "모두 성립해야 함."),
    "any": Text("At least one of these must hold.", "하나 이상 성립해야 함."),
    "none": Text("None of these may hold.", "하나도 성립하지 않아야 함."),
}
_DEFAULTS = {
    "description": Text("Goes into the message, up to 200 characters.", "메시지에 들어가는 설명(200자까지)."),
    "enabled": Text("false: read and checked, but not watched.", "false이면 읽고 검사하지만 감시하지 않음."),
    "symbols": Text(
        'Codes, Korean names, "@group", or "*": every symbol that any enabled rule names.',
        '종목코드, 종목명, "@그룹", 또는 "*"(켜진 규칙에 나오는 모든 종목).',
    ),
    "exclude": Text("The same forms, taken out.", "같은 형식으로 제외할 종목."),
    "aggregate": Text(
        '"sum": evaluated once, over the sum of all its symbols.', '"sum": 모든 종목의 합계로 한 번만 판정.'
    ),
    "for": Text("Must hold this long before it fires.", "이만큼 지속되어야 알림."),
    "keep_firing_for": Text("Keeps firing this long after it last held.", "조건이 풀린 뒤에도 이만큼은 지속으로 봄."),
    "cooldown": Text(
        "Least time between two firing messages of this rule and symbol.", "같은 규칙·종목의 알림 사이 최소 간격."
    ),
    "max_per_day": Text("Most firing messages of this rule and symbol a day.", "같은 규칙·종목의 하루 최대 알림 수."),
    "repeat": Text("Told again this often while it keeps firing.", "지속되는 동안 이 간격으로 다시 알림."),
    "resolved": Text("Tell when it is over.", "끝났을 때도 알림."),
    "active": Text(
        'When the rule is awake (KST, end excluded): "09:05~15:20", "open+5m~close-10m".',
        '규칙이 깨어 있는 시간대(KST, 끝 제외): "09:05~15:20", "open+5m~close-10m".',
    ),
    "severity": Text("critical does not wait for a digest.", "critical은 묶음 발송을 기다리지 않음."),
    "notify": Text(
        "Names of notifiers; left out: [alerts].notify of config.toml.",
        "알림 대상 이름. 생략하면 config.toml의 [alerts].notify.",
    ),
    "title": Text(
        "Template of the first line; empty: the configured or built-in words.",
        "첫 줄의 템플릿. 비우면 설정 또는 내장 문구.",
    ),
    "message": Text(
        "Template of the text; empty: the configured or built-in words.", "본문 템플릿. 비우면 설정 또는 내장 문구."
    ),
    "chart": Text("Attach a picture; left out: as the notifier says.", "그림 첨부. 생략하면 알림 대상의 설정을 따름."),
    "labels": Text("Free text by name, shown and filterable.", "이름별 자유 텍스트. 표시와 필터에 쓰임."),
}
_CONFIG = {
    "Settings": {
        "locale": Text("Language of messages and commands.", "메시지와 명령의 언어."),
        "rules": Text("Folder of rule files.", "규칙 파일 폴더."),
        "state": Text("Folder for everything that is written.", "프로그램이 쓰는 모든 것의 폴더."),
        "session": Text("Trading hours, KST; left out: the market's.", "거래 시간(KST). 생략하면 시장 기본값."),
        "calendar": Text("Days and hours beyond those that are known.", "알려진 것 외의 휴장일과 거래 시간."),
        "feed": Text("Where records come from.", "데이터 수신."),
        "simulator": Text("The simulated market.", "모의 시장."),
        "alerts": Text("Where and how alerts are told.", "알림을 보내는 방법."),
        "notifiers": Text("Who can be told, by name.", "이름별 알림 대상."),
        "http": Text("The page.", "웹 페이지."),
        "log": Text("Log lines, to stderr.", "로그(stderr)."),
        "symbols": Text("The stock master.", "종목 마스터."),
    },
    "Session": {
        "open": Text("The day's counters are zero before it.", "이 시각 전에는 당일 누적이 0."),
        "close": Text("End of the session, excluded.", "장 마감(끝 제외)."),
    },
    "Calendar": {
        "closed": Text("Dates without trading.", "휴장일."),
        "hours": Text(
            'Other hours on a date: "2026-11-19" = "10:00~16:30".', '날짜별 거래 시간: "2026-11-19" = "10:00~16:30".'
        ),
    },
    "Backoff": {
        "first": Text("Wait after the first failure; doubles.", "첫 실패 뒤 대기. 실패할 때마다 두 배."),
        "max": Text("Longest wait.", "최대 대기."),
        "in_use": Text(
            "Wait after the broker said that the app key is in use.", "앱키가 사용 중이라는 응답 뒤의 대기."
        ),
        "max_per_hour": Text("Most connections of an account in an hour.", "계정당 시간당 최대 접속 수."),
    },
    "Replay": {
        "files": Text("Recordings to play.", "재생할 기록 파일."),
        "speed": Text("1.0: as fast as it happened.", "1.0이면 실제 속도."),
    },
    "Retention": {
        "days": Text("Recordings are kept this long.", "기록 보관 일수."),
        "size": Text("And at most this much of them.", "기록 최대 용량."),
    },
    "Account": {
        "name": Text("What it is called here.", "계정 이름."),
        "app_key": Text(
            '"${KIS_APP_KEY}": from the environment or from .env.', '"${KIS_APP_KEY}": 환경 변수 또는 .env에서.'
        ),
        "app_secret": Text(
            '"${KIS_APP_SECRET}": from the environment or from .env.', '"${KIS_APP_SECRET}": 환경 변수 또는 .env에서.'
        ),
        "customer_type": Text("P person, B corporate.", "P 개인, B 법인."),
    },
    "Feed": {
        "source": Text(
            "kis: the broker; simulator; replay: recordings.", "kis: 한국투자증권, simulator: 모의 시장, replay: 기록."
        ),
        "rest_url": Text(
            "Where approval keys are issued; https, or loopback.", "접속키 발급 주소. https 또는 로컬 주소."
        ),
        "websocket_url": Text("Where the data comes from.", "실시간 데이터 주소."),
        "market": Text("KRX, NXT, or both together (UNIFIED).", "KRX, NXT, 또는 통합(UNIFIED)."),
        "record": Text("Write a recording.", "기록 여부."),
        "idle_timeout": Text(
            "No frame of any kind for so long: the connection is dead. At least 20s.",
            "이만큼 아무것도 오지 않으면 끊긴 것으로 봄. 20s 이상.",
        ),
        "max_registrations": Text("Symbols a connection.", "접속당 종목 수."),
        "backoff": Text("Waits between attempts to connect.", "재접속 대기."),
        "allow_other_host": Text(
            "Permit addresses that are neither the broker's nor loopback: app keys go there.",
            "증권사도 로컬도 아닌 주소를 허용. 앱키가 그곳으로 전송됨.",
        ),
        "replay": Text('When source = "replay".', 'source = "replay"일 때.'),
        "retention": Text("Of recordings.", "기록 보관."),
        "account": Text("One connection each; symbols are spread over them.", "계정당 접속 하나. 종목을 나누어 맡음."),
    },
    "Simulator": {
        "symbols": Text("How many.", "종목 수."),
        "rate": Text("Records a second.", "초당 체결 수."),
        "scenario": Text("A file of faults to play.", "재생할 장애 시나리오 파일."),
        "seed": Text("The same seed, the same market.", "같은 값이면 같은 시장."),
    },
    "Alerts": {
        "notify": Text("Notifiers of a rule that names none.", "규칙이 정하지 않았을 때의 알림 대상."),
        "ops": Text("Notifiers for what pgmwatch says of itself.", "pgmwatch 자신에 관한 알림의 대상."),
        "ttl": Text("Not delivered this long after it fired: given up.", "이만큼 지나도 보내지 못하면 포기."),
        "digest": Text("Alerts within this become one message.", "이 안에 난 알림은 한 메시지로 묶음."),
        "heartbeat_url": Text("Called each minute while all is well.", "정상인 동안 매분 호출."),
        "self_test": Text('Daily message before the open; "": none.', '장 시작 전 점검 메시지 시각. ""이면 없음.'),
        "daily_report": Text('Daily report; "": none.', '일일 보고 시각. ""이면 없음.'),
        "title": Text(
            "Template of the first line, for rules without their own.", "규칙에 따로 없을 때의 첫 줄 템플릿."
        ),
        "message": Text("Template of the text, for rules without their own.", "규칙에 따로 없을 때의 본문 템플릿."),
    },
    "Notifier": {
        "kind": Text("terminal: this one; apprise: urls.", "terminal: 현재 터미널, apprise: urls."),
        "urls": Text("Apprise URLs, each a target of its own.", "Apprise URL. 각각이 별도의 대상."),
        "rate": Text('At most this many messages to each target: "20/m".', '대상별 최대 전송 빈도: "20/m".'),
        "chart": Text("Attach pictures.", "그림 첨부."),
    },
    "Http": {"listen": Text('Loopback only; "" switches it off.', '로컬 주소만. ""이면 끔.')},
    "Log": {
        "level": Text("The least that is logged.", "로그 수준."),
        "format": Text("text, or json: one object a line.", "text 또는 json(한 줄에 하나)."),
    },
    "Symbols": {"master_url": Text("Where the list of all stocks comes from.", "전체 종목 목록의 주소.")},
}
KEYS: Mapping[str, Text] = {
    "File.defaults": Text(
        "For every rule of this file; a rule's own key wins.", "이 파일의 모든 규칙에 적용. 규칙의 키가 우선."
    ),
    "File.groups": Text("Lists of codes or Korean names, for this file.", "이 파일에서 쓰는 종목 목록."),
    "File.rule": Text("One rule.", "규칙 하나."),
    "RuleTable.name": Text("Unique over all files, up to 80 characters.", "모든 파일에서 유일한 이름(80자까지)."),
    **{f"Entry.{key}": told for key, told in _ENTRY.items()},
    **{f"Defaults.{key}": told for key, told in _DEFAULTS.items()},
    **{f"RuleTable.{key}": told for key, told in {**_ENTRY, **_DEFAULTS}.items()},
    **{f"{table}.{key}": told for table, keys in _CONFIG.items() for key, told in keys.items()},
}
"""What an editor shows of each key, by table and key."""
