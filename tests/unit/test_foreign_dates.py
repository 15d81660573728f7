"""Times in other languages than English are found and resolved as in English, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.dates import mentions, question_interval
from perdure.engine.dates.languages import LANGUAGES

ZONE = timezone(timedelta(hours=2))
SAID = datetime(2023, 5, 10, 14, 30, tzinfo=ZONE)  # a Wednesday
NOW = "2023-05-10T14:30"

SENTENCES = {
    # a language: a sentence, and the words for each of its times with the day, or from when to when
    "de": {
        "Gestern war ich beim Zahnarzt.": {"Gestern": "2023-05-09"},
        "Letzten Dienstag habe ich Anna getroffen, und nächste Woche fahren wir nach Wien.": {
            "Letzten Dienstag": "2023-05-09",
            "nächste Woche": "2023-05-15/2023-05-22",
        },
        "Vor zwei Wochen bin ich umgezogen.": {"Vor zwei Wochen": "2023-04-23/2023-04-30"},
        "In zwei Wochen fliege ich nach Rom.": {"In zwei Wochen": "2023-05-21/2023-05-28"},
        "Ich arbeite seit März bei der Post.": {"seit März": f"2023-03-01/{NOW}"},
        "Im Mai 2022 haben wir geheiratet.": {"Mai 2022": "2022-05-01/2022-06-01"},
        "Mein Sohn wurde am 8. Mai 2019 um 15:30 Uhr geboren.": {
            "8. Mai 2019 um 15:30 Uhr": "2019-05-08T15:30/2019-05-08T16:30"
        },
        "Morgen früh muss ich zum Flughafen.": {"Morgen früh": "2023-05-11T05:00/2023-05-11T12:00"},
        "Im letzten Sommer und am Montagabend war es heiß.": {
            "letzten Sommer": "2022-06-01/2022-09-01",
            "Montagabend": "2023-05-08T18:00/2023-05-09",
        },
        "Wir wohnen seit zwei Jahren in Köln und seit 2019 in Deutschland.": {
            "seit zwei Jahren": f"2021-01-01/{NOW}",
            "seit 2019": f"2019-01-01/{NOW}",
        },
        "Guten Morgen! Am Morgen trinke ich so gern Tee, das ist mir am liebsten.": {},
        "Ich habe drei Jahre in Berlin gelebt, und jeden Montag mache ich Sport.": {},
        "Die Fahrt kostet 20 Euro und dauert in 2000 Metern Höhe zwei Stunden, um 15 Uhr ist Schluss.": {},
        "Frau Mai und Herr Sommer nehmen Version 2.5 in den letzten Wochen gern.": {},
    },
    "fr": {
        "Hier soir, nous avons mangé chez ma tante.": {"Hier soir": "2023-05-09T18:00/2023-05-10"},
        "Je suis allée chez le dentiste mardi dernier.": {"mardi dernier": "2023-05-09"},
        "Il y a deux semaines, j'ai déménagé à Lyon.": {"Il y a deux semaines": "2023-04-23/2023-04-30"},
        "Dans deux semaines, nous partons en Italie.": {"Dans deux semaines": "2023-05-21/2023-05-28"},
        "Je travaille ici depuis mars.": {"depuis mars": f"2023-03-01/{NOW}"},
        "Ma fille est née le 1er mai 2022.": {"1er mai 2022": "2022-05-01"},
        "L'année dernière, on était en Grèce, et cet été on va en Espagne.": {
            "L'année dernière": "2022-01-01/2023-01-01",
            "cet été": "2023-06-01/2023-09-01",
        },
        "Le mois prochain je change de travail.": {"Le mois prochain": "2023-06-01/2023-07-01"},
        "On s'est rencontrés en juin 2018.": {"juin 2018": "2018-06-01/2018-07-01"},
        "Tous les lundis, je vais à la piscine, et le mardi au judo.": {},
        "Les chocolats Mars sont sept fois plus sucrés, il a été déçu.": {},
        "J'ai habité trois ans à Paris, et ça coûtait 2000 euros par mois.": {},
    },
    "es": {
        "Ayer por la tarde fui al cine con mi hermana.": {"Ayer por la tarde": "2023-05-09T12:00/2023-05-09T18:00"},
        "El martes pasado me caí de la bicicleta.": {"martes pasado": "2023-05-09"},
        "Hace dos semanas empecé un curso de cocina.": {"Hace dos semanas": "2023-04-23/2023-04-30"},
        "Dentro de dos semanas nos vamos a Perú.": {"Dentro de dos semanas": "2023-05-21/2023-05-28"},
        "Vivo en Madrid desde marzo.": {"desde marzo": f"2023-03-01/{NOW}"},
        "Trabajo en el hospital desde hace tres años.": {"desde hace tres años": f"2020-01-01/{NOW}"},
        "Nos casamos el 8 de mayo de 2019.": {"8 de mayo de 2019": "2019-05-08"},
        "El mes que viene viajo a Chile, y mañana por la mañana voy al médico.": {
            "mes que viene": "2023-06-01/2023-07-01",
            "mañana por la mañana": "2023-05-11T05:00/2023-05-11T12:00",
        },
        "En junio del año pasado nació mi sobrino.": {"junio del año pasado": "2022-06-01/2022-07-01"},
        "Me gusta correr por la mañana, y los lunes voy al gimnasio.": {},
        "El coche me costó en total 2000 euros y gasta poco.": {},
        "He vivido tres años en Londres, en 2000 palabras no lo cuento.": {},
    },
    "it": {
        "Ieri sera sono andata al cinema con la mia amica.": {"Ieri sera": "2023-05-09T18:00/2023-05-10"},
        "Martedì scorso ho visto il medico.": {"Martedì scorso": "2023-05-09"},
        "Due settimane fa ho cambiato casa.": {"Due settimane fa": "2023-04-23/2023-04-30"},
        "Tra due settimane andiamo a Parigi.": {"Tra due settimane": "2023-05-21/2023-05-28"},
        "Lavoro in questa azienda da tre anni.": {"da tre anni": f"2020-01-01/{NOW}"},
        "Mio figlio è nato l'8 maggio 2019.": {"8 maggio 2019": "2019-05-08"},
        "La settimana prossima ho un esame, e a giugno mi laureo.": {
            "settimana prossima": "2023-05-15/2023-05-22",
            "giugno": "2023-06-01/2023-07-01",
        },
        "Dopodomani parto per la montagna.": {"Dopodomani": "2023-05-12"},
        "Nel 2019 abitavo a Torino.": {"2019": "2019-01-01/2020-01-01"},
        "Il lunedì vado in piscina, ogni sera leggo un libro.": {},
        "Ho vinto 3 set a 1 e fa molto caldo.": {},
        "Il biglietto costa 20 euro e il viaggio dura due giorni.": {},
    },
    "pt": {
        "Ontem à noite jantei com os meus pais.": {"Ontem à noite": "2023-05-09T18:00/2023-05-10T05:00"},
        "Na terça-feira passada fui ao médico.": {"terça-feira passada": "2023-05-09"},
        "Há duas semanas comecei um curso de piano.": {"Há duas semanas": "2023-04-23/2023-04-30"},
        "Daqui a duas semanas vamos para o Brasil.": {"Daqui a duas semanas": "2023-05-21/2023-05-28"},
        "Moro em Lisboa desde março.": {"desde março": f"2023-03-01/{NOW}"},
        "O meu filho nasceu em 8 de maio de 2019.": {"8 de maio de 2019": "2019-05-08"},
        "No ano passado estive na Grécia, e na próxima semana vou para o Porto.": {
            "ano passado": "2022-01-01/2023-01-01",
            "próxima semana": "2023-05-15/2023-05-22",
        },
        "Comprei o carro três meses atrás.": {"três meses atrás": "2023-02-01/2023-03-01"},
        "Foi a segunda vez que fui ao cinema, e não gostei.": {},
        "O bilhete custa 20 euros e a viagem dura dois dias.": {},
        "Hoje em dia quase ninguém escreve cartas para os amigos.": {},
    },
    "nl": {
        "Gisteravond hebben we bij oma gegeten.": {"Gisteravond": "2023-05-09T18:00/2023-05-10"},
        "Afgelopen dinsdag ben ik naar de tandarts geweest.": {"Afgelopen dinsdag": "2023-05-09"},
        "Twee weken geleden ben ik verhuisd.": {"Twee weken geleden": "2023-04-23/2023-04-30"},
        "Over twee weken gaan we naar Parijs.": {"Over twee weken": "2023-05-21/2023-05-28"},
        "Ik werk hier sinds maart.": {"sinds maart": f"2023-03-01/{NOW}"},
        "Mijn zoon is geboren op 8 mei 2019.": {"8 mei 2019": "2019-05-08"},
        "Vorig jaar waren we in Griekenland en volgende maand gaan we naar Spanje.": {
            "Vorig jaar": "2022-01-01/2023-01-01",
            "volgende maand": "2023-06-01/2023-07-01",
        },
        "Morgenochtend moet ik vroeg op.": {"Morgenochtend": "2023-05-11T05:00/2023-05-11T12:00"},
        "Elke maandag ga ik zwemmen, en in de morgen drink ik koffie.": {},
        "Ik heb drie jaar in Utrecht gewoond en het kostte 20 euro.": {},
        "Het was een mooie dag en we hebben de hele week gelachen.": {},
    },
    "ru": {
        "Вчера вечером мы ужинали у бабушки.": {"Вчера вечером": "2023-05-09T18:00/2023-05-10"},
        "В прошлый вторник я был у врача.": {"прошлый вторник": "2023-05-09"},
        "Две недели назад я переехал в Казань.": {"Две недели назад": "2023-04-23/2023-04-30"},
        "Через две недели мы летим в Рим.": {"Через две недели": "2023-05-21/2023-05-28"},
        "Мой сын родился 8 мая 2019 года.": {"8 мая 2019": "2019-05-08"},
        "В прошлом году мы были в Греции, а в июне поедем в Испанию.": {
            "В прошлом году": "2022-01-01/2023-01-01",
            "июне": "2023-06-01/2023-07-01",
        },
        "Неделю назад я начал бегать.": {"Неделю назад": "2023-04-30/2023-05-07"},
        "Мы познакомились в 2018 году.": {"2018": "2018-01-01/2019-01-01"},
        "Послезавтра у меня экзамен.": {"Послезавтра": "2023-05-12"},
        "Каждый понедельник я хожу в бассейн.": {},
        "Я прожил три года в Москве, окружающая среда там хорошая.": {},
        "Билет стоит 2000 рублей, дорога занимает два дня.": {},
    },
    "pl": {
        "Wczoraj wieczorem jedliśmy kolację u babci.": {"Wczoraj wieczorem": "2023-05-09T18:00/2023-05-10"},
        "W zeszły wtorek byłem u lekarza.": {"zeszły wtorek": "2023-05-09"},
        "Dwa tygodnie temu przeprowadziłem się do Krakowa.": {"Dwa tygodnie temu": "2023-04-23/2023-04-30"},
        "Za dwa tygodnie lecimy do Rzymu.": {"Za dwa tygodnie": "2023-05-21/2023-05-28"},
        "Mój syn urodził się 8 maja 2019 roku.": {"8 maja 2019": "2019-05-08"},
        "W zeszłym roku byliśmy w Grecji, a w czerwcu jedziemy do Hiszpanii.": {
            "W zeszłym roku": "2022-01-01/2023-01-01",
            "czerwcu": "2023-06-01/2023-07-01",
        },
        "Rok temu zacząłem biegać.": {"Rok temu": "2022-01-01/2023-01-01"},
        "Pojutrze mam egzamin.": {"Pojutrze": "2023-05-12"},
        "Co poniedziałek chodzę na basen.": {},
        "Mieszkałem trzy lata w Warszawie i bilet kosztował 20 złotych.": {},
        "To jest bardzo dobry dzień na spacer z psem.": {},
    },
    "tr": {
        "Dün akşam anneannemde yemek yedik.": {"Dün akşam": "2023-05-09T18:00/2023-05-10"},
        "Geçen salı doktora gittim.": {"Geçen salı": "2023-05-09"},
        "İki hafta önce Ankara'ya taşındım.": {"İki hafta önce": "2023-04-23/2023-04-30"},
        "İki hafta sonra Roma'ya uçuyoruz.": {"İki hafta sonra": "2023-05-21/2023-05-28"},
        "Marttan beri burada çalışıyorum.": {"Marttan beri": f"2023-03-01/{NOW}"},
        "Oğlum 8 Mayıs 2019 günü doğdu.": {"8 Mayıs 2019": "2019-05-08"},
        "Geçen yıl Yunanistan'daydık, gelecek ay İspanya'ya gidiyoruz.": {
            "Geçen yıl": "2022-01-01/2023-01-01",
            "gelecek ay": "2023-06-01/2023-07-01",
        },
        "2018'de tanıştık.": {"2018'de": "2018-01-01/2019-01-01"},
        "Her pazartesi yüzmeye gidiyorum.": {},
        "Pazarda ekmek, peynir ve yazı defteri aldım, 20 lira.": {},
        "Üç yıl İstanbul'da yaşadım ve çok güzeldi.": {},
    },
    "zh": {
        "我昨天去看了牙医。": {"昨天": "2023-05-09"},
        "上周二我见到了小王。": {"上周二": "2023-05-02"},
        "两周前我搬到了上海。": {"两周前": "2023-04-23/2023-04-30"},
        "三天后我们去北京。": {"三天后": "2023-05-13"},
        "我的儿子出生于2019年5月8日。": {"2019年5月8日": "2019-05-08"},
        "去年我们在希腊，下个月去西班牙。": {
            "去年": "2022-01-01/2023-01-01",
            "下个月": "2023-06-01/2023-07-01",
        },
        "昨天晚上我们在奶奶家吃饭。": {"昨天晚上": "2023-05-09T18:00/2023-05-10"},
        "我们是2018年认识的。": {"2018年": "2018-01-01/2019-01-01"},
        "我每周二去游泳。": {},
        "我在上海住了三年，票价20元。": {},
        "他天天聊天，周围很安静。": {},
    },
    "ja": {
        "昨日、歯医者に行きました。": {"昨日": "2023-05-09"},
        "先週の火曜日に田中さんに会った。": {"先週の火曜日": "2023-05-02"},
        "2週間前に京都へ引っ越しました。": {"2週間前": "2023-04-23/2023-04-30"},
        "三日後に東京へ行きます。": {"三日後": "2023-05-13"},
        "息子は2019年5月8日に生まれました。": {"2019年5月8日": "2019-05-08"},
        "去年はギリシャにいて、来月はスペインに行きます。": {
            "去年": "2022-01-01/2023-01-01",
            "来月": "2023-06-01/2023-07-01",
        },
        "昨日の夜、祖母の家で食べた。": {"昨日の夜": "2023-05-09T18:00/2023-05-10"},
        "あさって試験があります。": {"あさって": "2023-05-12"},
        "毎週火曜日に泳ぎます。": {},
        "三年間大阪に住んでいた。": {},
        "この本は二千円で、水がおいしいです。": {},
    },
    "ko": {
        "어제 치과에 갔어요.": {"어제": "2023-05-09"},
        "지난주 화요일에 민수를 만났어요.": {"지난주 화요일": "2023-05-02"},
        "2주 전에 부산으로 이사했어요.": {"2주 전": "2023-04-23/2023-04-30"},
        "두 달 후에 결혼해요.": {"두 달 후": "2023-07-01/2023-08-01"},
        "아들은 2019년 5월 8일에 태어났어요.": {"2019년 5월 8일": "2019-05-08"},
        "작년에는 그리스에 있었고 다음 달에는 스페인에 가요.": {
            "작년": "2022-01-01/2023-01-01",
            "다음 달": "2023-06-01/2023-07-01",
        },
        "어제 저녁에 할머니 댁에서 먹었어요.": {"어제 저녁": "2023-05-09T18:00/2023-05-10"},
        "모레 시험이 있어요.": {"모레": "2023-05-12"},
        "매주 화요일에 수영해요.": {},
        "서울에서 3년 동안 살았어요.": {},
        "이 일은 주말 농장과 상관없이 힘들어요.": {"주말": "2023-05-06/2023-05-08"},
    },
    "ar": {
        "ذهبت أمس إلى طبيب الأسنان.": {"أمس": "2023-05-09"},
        "قابلت أحمد يوم الثلاثاء الماضي.": {"الثلاثاء الماضي": "2023-05-09"},
        "انتقلت إلى القاهرة قبل أسبوعين.": {"قبل أسبوعين": "2023-04-23/2023-04-30"},
        "سنسافر إلى روما بعد ثلاثة أيام.": {"بعد ثلاثة أيام": "2023-05-13"},
        "ولد ابني في 8 مايو 2019.": {"8 مايو 2019": "2019-05-08"},
        "كنا في اليونان العام الماضي وسنذهب إلى إسبانيا الشهر القادم.": {
            "العام الماضي": "2022-01-01/2023-01-01",
            "الشهر القادم": "2023-06-01/2023-07-01",
        },
        "أعمل هنا منذ مارس.": {"منذ مارس": f"2023-03-01/{NOW}"},
        "عندي امتحان بعد غد.": {"بعد غد": "2023-05-12"},
        "أذهب إلى المسبح كل ثلاثاء.": {},
        "عشت ثلاث سنوات في دمشق.": {},
        "كان هذا اليوم جميلا والسعر 20 دينارا.": {},
    },
    "hi": {
        "आज मैं डॉक्टर के पास गया था।": {"आज": "2023-05-10"},
        "पिछले मंगलवार को मैं राम से मिला।": {"पिछले मंगलवार": "2023-05-09"},
        "दो हफ़्ते पहले मैं दिल्ली आया।": {"दो हफ़्ते पहले": "2023-04-23/2023-04-30"},
        "तीन दिन बाद हम मुंबई जाएँगे।": {"तीन दिन बाद": "2023-05-13"},
        "मेरा बेटा 8 मई 2019 को पैदा हुआ।": {"8 मई 2019": "2019-05-08"},
        "पिछले साल हम ग्रीस में थे और अगले महीने स्पेन जाएँगे।": {
            "पिछले साल": "2022-01-01/2023-01-01",
            "अगले महीने": "2023-06-01/2023-07-01",
        },
        "मार्च में मैंने नौकरी बदली।": {"मार्च में": "2023-03-01/2023-04-01"},
        "हर मंगलवार को मैं तैरता हूँ।": {},
        "मैं तीन साल दिल्ली में रहा।": {},
        "कल मैं बाज़ार गया था।": {},
    },
}
CASES = [(language, sentence) for language, sentences in SENTENCES.items() for sentence in sentences]


def spans(expected: dict[str, str]) -> list[tuple[str, datetime, datetime]]:
    found = []
    for words, span in expected.items():
        first, _, last = span.partition("/")
        start = datetime.fromisoformat(first).replace(tzinfo=ZONE)
        found.append((words, start, datetime.fromisoformat(last).replace(tzinfo=ZONE) if last else start + timedelta(1)))
    return found


def read(sentence: str, language: str | None) -> list[tuple[str, datetime, datetime]]:
    return [(m.text, m.start, m.end) for m in mentions(sentence, SAID, language)]


@pytest.mark.parametrize(("language", "sentence"), CASES)
def test_the_times_of_a_sentence_are_found_and_resolved(language: str, sentence: str) -> None:
    assert read(sentence, language) == spans(SENTENCES[language][sentence])
