"""Korean names of the largest KRX stocks, so that a message says 삼성전자 before any stock master was downloaded.

Each pair stands alike in two public sources of different origin: the exchange's listing of 2026-03-22 as kept in
github.com/FinanceData/fdr_krx_data_cache, and a second one. The second is KIND's list of companies as kept in
github.com/Plokies-2/AIfestival (2025-07) for all but four; 현대차, 한국전력 and KT&G come from
github.com/corazzon/finance-data-analysis (2021), 한화에어로스페이스 from both that and
github.com/QuantKang/QuantKang.github.io (2024), which confirms 현대차 as well. KIND's list gives names of companies
(현대자동차); what stands here is the stock's name on the exchange (현대차).
"""

from collections.abc import Mapping
from types import MappingProxyType

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "005930": "삼성전자",
        "000660": "SK하이닉스",
        "373220": "LG에너지솔루션",
        "207940": "삼성바이오로직스",
        "005380": "현대차",
        "000270": "기아",
        "068270": "셀트리온",
        "005490": "POSCO홀딩스",
        "035420": "NAVER",
        "105560": "KB금융",
        "055550": "신한지주",
        "012330": "현대모비스",
        "028260": "삼성물산",
        "066570": "LG전자",
        "035720": "카카오",
        "051910": "LG화학",
        "006400": "삼성SDI",
        "003670": "포스코퓨처엠",
        "086790": "하나금융지주",
        "042700": "한미반도체",
        "012450": "한화에어로스페이스",
        "329180": "HD현대중공업",
        "034020": "두산에너빌리티",
        "015760": "한국전력",
        "009540": "HD한국조선해양",
        "032830": "삼성생명",
        "033780": "KT&G",
        "017670": "SK텔레콤",
        "010130": "고려아연",
        "096770": "SK이노베이션",
    }
)
