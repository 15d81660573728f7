"""Names in Chinese, Japanese and Korean, which have no capitals: told by the words that go with names only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from perdure.engine.entities.phrases import EntityKind

_HAN: Final = "\u3005\u3400-\u4dbf\u4e00-\u9fff"
_KATA: Final = "\u30a1-\u30fa\u30fc"
_HANGUL: Final = "\uac00-\ud7a3"
_ANY: Final = re.compile(f"[{_HAN}\u3040-\u30ff{_HANGUL}]")


class Introduced(NamedTuple):
    """A name, by the words around it."""

    name: str
    kind: EntityKind | None
    weight: int = 3


class _Rule(NamedTuple):
    pattern: str
    """Compiled when it is first used: most programs never read these scripts."""
    kind: EntityKind | None


# Katakana, or up to four ideographs that stand alone: "昨日田中さん" is cut by _trimmed.
_JA: Final = f"(?P<name>[{_KATA}]{{2,}}(?:・[{_KATA}]+)*|[{_HAN}]{{1,4}})"
_JA_PLACE: Final = f"(?P<name>[{_KATA}]{{2,}}|[{_HAN}]{{1,4}})"
_JA_RULES: Final = (
    _Rule(f"{_JA}(?:さん|ちゃん|くん|君|様|氏|先生|先輩|部長|課長|社長)", "person"),
    _Rule(f"{_JA}(?:と申します|といいます|と言います|っていいます)", "person"),
    _Rule(f"名前は[「『]?{_JA_PLACE}[」』]?(?:です|だ|。|、|\\Z)", None),
    _Rule(f"{_JA_PLACE}(?:に(?:住|引っ越|旅行|出張)|へ(?:行|旅行|引っ越)|出身|生まれ)", "place"),
    _Rule(f"(?P<name>[{_KATA}]{{2,}}|[{_HAN}]{{1,4}}(?:社|大学|銀行|病院))(?:で(?:働|勤)|に(?:勤|就職|入社))", "organisation"),
    _Rule(f"株式会社(?P<name>[{_KATA}]{{2,}}|[{_HAN}]{{2,4}})", "organisation"),
    _Rule(f"(?P<name>[{_KATA}]{{2,}}(?:・[{_KATA}]{{2,}})+)", "person"),
    _Rule("[「『](?P<name>[^「」『』。、！？]{1,12})[」』]という(?:名前|猫|犬|店|本|映画|曲)", None),
)  # fmt: skip

_SURNAME: Final = (
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖田董袁潘蔡蒋"
    "蔣余于杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔钟鐘谭譚陆陸汪范石廖贾賈夏韦傅方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺"
    "顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_GIVEN: Final = f"[{_SURNAME}][{_HAN}]{{1,2}}"
_ZH_KIN: Final = (
    "姐姐|妹妹|哥哥|弟弟|妈妈|爸爸|母亲|父亲|朋友|闺蜜|同事|同学|妻子|丈夫|老公|老婆|女儿|儿子|老板|上司|室友|邻居|"
    "男友|女友|男朋友|女朋友|表哥|表姐|表弟|表妹|堂哥|堂姐|老师|经理"
)
_ZH_TITLE: Final = "先生|女士|小姐|老师|医生|教授|经理|阿姨|叔叔|师傅|律师|同学"
_ZH_PLACE: Final = f"(?P<name>[{_HAN}]{{2,4}}?)(?=市?(?:[，。！？,.!?\\s]|\\Z|的|了|工作|上班|生活|旅游|旅行|出差|玩|读书|上学))"
_ZH_RULES: Final = (
    _Rule(f"(?:我叫|名叫|叫做|名字是|名字叫|(?:{_ZH_KIN})(?:叫|是)?)(?P<name>{_GIVEN})", "person"),
    _Rule(f"(?P<name>{_GIVEN}?|[{_SURNAME}])(?:{_ZH_TITLE})", "person"),
    _Rule(f"(?<![大])(?P<name>[小老阿][{_SURNAME}])(?=[和跟说告去来在是今昨明很也都喜有给想会，,。])", "person"),
    _Rule(f"(?:住在|来自|搬到|搬去|出生在|去过|飞往|飞到|前往)了?{_ZH_PLACE}", "place"),
    _Rule(f"在(?P<name>[{_HAN}A-Za-z]{{2,6}}?(?:公司|大学|医院|银行|集团))", "organisation"),
    _Rule(f"(?<![{_HAN}])(?:我|和|跟|与|叫|是|听|看)?(?P<name>[{_HAN}]{{2,4}}(?:·[{_HAN}]{{1,5}}?)+)(?=[的，。！？、]|\\Z)", None),
    _Rule(f"(?:公司|单位|学校)(?:叫|是|名叫)(?P<name>[{_HAN}A-Za-z]{{2,12}}?(?:公司|大学|医院|银行|集团|学院|中学))", "organisation"),
    _Rule(f"(?:老家是|老家在|家在|位于|地点是|地点在)(?P<name>[{_HAN}]{{2,6}}?)(?=[的，。！？、]|\\Z)", "place"),
    _Rule("《(?P<name>[^《》]{1,20})》", "thing"),
)  # fmt: skip

_KO_RULES: Final = (
    _Rule(f"(?P<name>[{_HANGUL}]{{2,4}}?)(?: ?씨|님| 선생님)(?![{_HANGUL}]{{2}})", "person"),
    _Rule(f"(?:친구|언니|오빠|누나|형|동생|아내|남편) (?P<name>[{_HANGUL}]{{2,3}}?)(?:이는|은|는|이가|이|가|을|를|와|과|하고|한테|에게)(?![{_HANGUL}])", "person"),
    _Rule(f"(?:이름은|저는) (?P<name>[{_HANGUL}]{{2,4}}?)(?:입니다|이에요|예요|이라고)", "person"),
    _Rule(f"(?P<name>[{_HANGUL}]{{2,4}})(?:에 살|에서 살|으로 이사|로 이사)", "place"),
)  # fmt: skip

_NO_NAMES: Final = frozenset(
    """母 父 兄 姉 奥 娘 息子 皆 客 神 医者 店員 本屋 花屋 学校 担任 大学 会社 病院 実家 海外 一緒 田舎 近所 外国 都会 東
    西 南 北 家 旅館 駅 地元 自分 部屋 場所 担当 叔母 叔父 祖母 祖父 赤 坊 猫 犬 子 殿 何処 何 私 僕 俺 彼 彼女 友達 友人 王
    一个 哪里 这里 那里 学校 公司 家里 一家 外面 国外 国内 城市 农村 附近 医院 大学 老家 宿舍 地方 我们 他们 你们 一起
    先生 老师 医生 고객 부모 선생 사장 의사 손님 하나 사람 여러 어디 여기 학생 해외 시골""".split()  # noqa: SIM905  # readable
)
_JA_TIMES: Final = re.compile(
    "^(?:昨日|今日|明日|今朝|今夜|昨夜|先週|来週|今週|毎日|毎週|先月|来月|去年|今年|来年|最近|同僚|友人|友達|隣|担任|上司|近所|弟|妹)"
)
_ZH_NOT_GIVEN: Final = frozenset(
    "住在是的了说去来和跟会有喜不很也都今昨想要给对从被把做到过着最比让就还没吗呢吧啊，她他我你们这那每刚已正经常"
)
"""What follows a name, and hardly ends one."""


def introduced(text: str) -> list[Introduced]:
    """The names that words around them give away."""
    if text.isascii() or not _ANY.search(text):
        return []
    japanese = bool(re.search("[\u3041-\u30fa]", text))
    korean = bool(re.search(f"[{_HANGUL}]", text))
    rules = _JA_RULES if japanese else _KO_RULES if korean else _ZH_RULES
    return list(_introduced(text, rules, chinese=rules is _ZH_RULES))


def unspaced_name(name: str) -> bool:
    """Whether it is a name that is looked for letter by letter."""
    return len(name) > 1 and bool(_ANY.search(name))


def occurrences(text: str, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """How often each name stands in a text; a longer name hides a shorter one inside it."""
    if text.isascii() or not _ANY.search(text):
        return
    for name in sorted(names, key=lambda name: (-len(name), name)):
        if count := text.count(name):
            yield name, count
            text = text.replace(name, "\0")


def _introduced(text: str, rules: Iterable[_Rule], *, chinese: bool) -> Iterator[Introduced]:
    for rule in rules:
        for match in re.finditer(rule.pattern, text):
            name = _trimmed(match["name"])
            if chinese and rule.kind == "person" and "·" not in name:
                name = _given(name)
            if name and name not in _NO_NAMES:
                yield Introduced(name, rule.kind)


def _trimmed(name: str) -> str:
    """Without the day or the person before it that is written together with it."""
    return _JA_TIMES.sub("", name) if re.match(f"[{_HAN}]", name) else name


def _given(name: str) -> str:
    """A Chinese name ends before the words that follow names."""
    if len(name) == 3 and name[2] in _ZH_NOT_GIVEN:
        name = name[:2]
    return "" if len(name) > 1 and name[1] in _ZH_NOT_GIVEN and name[0] not in "小老阿" else name
