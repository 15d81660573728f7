"""Conversations in languages other than English are found by their words, and English rules stay away from them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure.embedders.local import LocalEmbedder
from perdure.engine.memory import Engine
from perdure.stores.memory import InMemoryStore

CONVERSATIONS = {
    "Chinese": (
        [
            "我的狗叫豆豆，今年三岁。",
            "我下个月要搬到上海工作。",
            "我对花生过敏，不能吃花生酱。",
            "昨天的会议改到星期五了。",
        ],
        [("我的狗叫什么名字？", 0), ("搬到哪个城市？上海吗", 1), ("我对什么过敏？", 2)],
    ),
    "Japanese": (
        [
            "私の犬の名前はポチです。",
            "来月、京都に引っ越します。",
            "ピーナッツのアレルギーがあります。",
            "会議は金曜日になりました。",
        ],
        [("犬の名前は何ですか？", 0), ("どこに引っ越しますか？", 1), ("アレルギーは何ですか？", 2)],
    ),
    "Arabic": (
        [
            "اسم كلبي ريكس وعمره ثلاث سنوات.",
            "سأنتقل إلى القاهرة في الشهر القادم.",
            "أعاني من حساسية الفول السوداني.",
            "تم تأجيل الاجتماع إلى يوم الجمعة.",
        ],
        [("ما اسم الكلب؟ كلبي", 0), ("هل سأنتقل إلى القاهرة؟", 1), ("ما هي حساسية الطعام عندي؟", 2)],
    ),
    "Hindi": (
        [
            "मेरे कुत्ते का नाम शेरू है।",
            "मैं अगले महीने मुंबई जा रहा हूँ।",
            "मुझे मूंगफली से एलर्जी है।",
            "बैठक अब शुक्रवार को होगी।",
        ],
        [("कुत्ते का नाम क्या है?", 0), ("मुंबई कब जा रहा हूँ?", 1), ("किस चीज़ से एलर्जी है?", 2)],
    ),
    "Russian": (
        [
            "Мою собаку зовут Барсик, ей три года.",
            "В следующем месяце я переезжаю в Казань.",
            "У меня аллергия на арахис.",
            "Совещание перенесли на пятницу.",
        ],
        [("Как зовут собаку?", 0), ("Куда я переезжаю?", 1), ("На что аллергия?", 2)],
    ),
    "German": (
        [
            "Mein Hund heißt Waldi und ist drei Jahre alt.",
            "Nächsten Monat ziehe ich nach Leipzig um.",
            "Ich bin gegen Erdnüsse allergisch.",
            "Die Besprechungen wurden auf Freitag verlegt.",
        ],
        [
            ("Wie heißen die Hunde?", 0),
            ("Wann wird die Besprechung sein?", 3),
            ("Ist eine Erdnuss gefährlich?", 2),
        ],
    ),
}


@pytest.mark.parametrize("language", CONVERSATIONS)
@pytest.mark.parametrize("embedder", [None, LocalEmbedder()], ids=["words", "words and vectors"])
def test_a_question_finds_what_was_said(language: str, embedder: Any) -> None:
    async def main() -> None:
        said, questions = CONVERSATIONS[language]
        memory = Engine(store=InMemoryStore(), embedder=embedder)
        await memory.add(said, user_id="u", infer=False)
        for question, place in questions:
            results = (await memory.search(question, user_id="u", threshold=0))["results"]
            assert results[0]["memory"] == said[place], question

    asyncio.run(main())


def test_a_long_chinese_text_is_split_and_found_by_its_end() -> None:
    async def main() -> None:
        memory = Engine(store=InMemoryStore())
        long = "今天的天气很好，我们去公园散步。" * 60 + "最后，密码是蓝色大象。"
        await memory.add([long, "我喜欢喝绿茶。", "明天下雨。", "狗在睡觉。"], user_id="u", infer=False)
        [first, *_] = (await memory.search("密码是什么大象", user_id="u", threshold=0))["results"]
        assert first["memory"] == long

    asyncio.run(main())


def test_english_times_are_not_read_into_german() -> None:
    async def main() -> None:
        memory = Engine(store=InMemoryStore())
        await memory.add(
            "Ich habe mit dem Tag und der Nacht nichts am Hut, und die Tote war last", user_id="u"
        )
        [result] = (await memory.get_all(user_id="u", show_all=True))["results"]
        assert result["mentions"] == []

    asyncio.run(main())
