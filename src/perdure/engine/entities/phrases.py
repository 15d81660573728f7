"""The closed lists of words that tell a name from other words, and a person from a place; case folded."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from perdure.engine.entities.spelling import fold

EntityKind: TypeAlias = Literal["person", "place", "organisation", "thing"]


def _words(text: str) -> frozenset[str]:
    return frozenset(fold(word) for word in text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(fold(part) for part in text.split(",") if part.strip())


POSSESSIVE: Final = _words("""
    my our his her their your mein meine meiner meinem meinen unser unsere sein seine ihr ihre mi mis nuestro nuestra su
    mon ma mes notre son sa mio mia meu minha seu sua nosso мой моя моей моего мою моим наш наша его ее её их mijn onze
    min mitt मेरा मेरी मेरे""")

KIN: Final = _words("""
    sister brother mother father mom mum mommy mummy dad daddy wife husband son daughter aunt uncle cousin niece nephew
    grandma grandpa grandmother grandfather granny girlfriend boyfriend partner fiance fiancee friend bestie buddy
    colleague coworker boss manager roommate flatmate neighbor neighbour teacher mentor therapist
    schwester bruder mutter vater mama papa frau mann sohn tochter tante onkel cousin cousine nichte neffe oma opa
    freundin freund kollegin kollege chefin chef mitbewohnerin mitbewohner nachbarin nachbar lehrerin lehrer partnerin
    hermana hermano madre padre mamá papá esposa esposo marido mujer hijo hija tía tío prima primo abuela abuelo novia
    novio amiga amigo compañera compañero jefa jefe vecina vecino
    soeur sœur frère mère père maman femme mari fils fille oncle cousine nièce neveu copine copain amie ami collègue
    voisine voisin
    sorella fratello mamma moglie marito figlio figlia zia zio cugina cugino nonna nonno amica amico collega
    irmã irmão mãe pai filha filho avó avô namorada namorado
    сестра сестре сестру сестрой сестры брат брата брату братом мама маме маму мамой мамы папа папе папу папой жена жене
    жену женой муж мужа мужу мужем сын сына сыну сыном дочь дочери дочерью тётя тетя дядя подруга подруге подругу
    подругой подруги друг друга другу другом бабушка бабушке бабушку дедушка коллега коллеге коллегой начальник
    أختي أخي صديقي صديقتي زوجتي زوجي ابني ابنتي أمي أبي والدي والدتي عمي خالي خالتي عمتي زميلي زميلتي جاري جارتي جدتي جدي
    बहन भाई दोस्त पत्नी पति बेटा बेटी 친구 언니 오빠 누나 형 동생 아내 남편""")

HONORIFIC: Final = _words("""
    mr mrs ms miss mister dr doctor prof professor sir madam herr frau señor señora sr sra don doña monsieur madame
    mme mlle signor signora dott г-н г-жа господин госпожа доктор профессор السيد السيدة الدكتور الدكتورة الأستاذ
    الأستاذة الشيخ श्री श्रीमती डॉ""")

HONORIFIC_AFTER: Final = _words("जी 씨 님 선생님")

CALLED: Final = _words("""
    called named nicknamed heißt heiße heisst heisse namens genannt llamo llama llamado llamada appelle appelé appelée
    chiamo chiama chiamato chiamata chamo chama chamado chamada зовут звать زови heet heter اسمي اسمه اسمها يدعى تدعى""")

GREETINGS: Final = _words("""
    hey hi hello thanks thank bye goodbye dear morning hallo danke liebe lieber tschüss hola gracias adiós ciao grazie
    bonjour salut merci olá oi obrigado obrigada привет спасибо здравствуй пока مرحبا أهلا شكرا يا""")
"""Before a name: somebody is spoken to."""

IS: Final = _words("is was ist war es est è são")

SAYS: Final = _words("""
    said says told asked tells asks replied texted called thinks believes
    sagt sagte meint meinte fragt fragte erzählt erzählte
    dijo dice dijeron contó preguntó pregunta cuenta
    dit demande demandait raconte racontait disse chiede
    сказал сказала говорит говорила говорил спросил спросила пишет написал написала рассказал рассказала""")

DOES: Final = _words("""
    likes loves wants lives works moved married plays studies enjoys hates knows wrote bought came went
    hat kommt wohnt lebt arbeitet mag liebt spielt geht fährt möchte will kann
    vive trabaja quiere vino fue tiene juega estudia habite travaille aime vient vit abita lavora vuole ama mora trabalha
    живет живёт работает любит хочет приехал приехала пришел пришла играет учится""")
"""After a name these make a person of it, if nothing else speaks against."""

PLACE_BEFORE: Final = _phrases("""
    live in, lives in, lived in, living in, move to, moved to, moving to, moves to, born in, grew up in, raised in,
    trip to, travel to, traveled to, travelled to, traveling to, travelling to, fly to, flew to, flying to, drove to,
    went to, visit, visited, visiting, am from, is from, was from, are from, came from, come from, comes from,
    stay in, stayed in, staying in, vacation in, holiday in, arrived in, back to, city of, town of, flight to, based in,
    wohne in, wohnt in, wohnen in, lebe in, lebt in, leben in, gezogen nach, ziehe nach, zieht nach, ziehen nach,
    fahre nach, fährt nach, fahren nach, fliege nach, fliegt nach, fliegen nach, reise nach, reisen nach, umgezogen nach,
    komme aus, kommt aus, kommen aus, geboren in,
    vivo en, vive en, vivimos en, viven en, viajé a, viajar a, viaje a, mudé a, mudó a, mudamos a, nací en, nació en,
    soy de, fui a, fuimos a, ir a, ciudad de,
    habite à, vis à, vit à, vivons à, allé à, allée à, allés à, allées à, voyage à, née à, né à, déménagé à,
    abito a, abita a, vivo a, vive a, trasferito a, trasferita a, nato a, nata a, viaggio a,
    moro em, mora em, moramos em, nasci em, viajei para, mudei para,
    живу в, живет в, живёт в, живем в, живём в, переехал в, переехала в, переехали в, поехал в, поехала в, поехали в,
    поеду в, родился в, родилась в, приехал из, приехала из, лечу в, город, городе,
    أعيش في, يعيش في, تعيش في, أسكن في, يسكن في, تسكن في, انتقلت إلى, انتقل إلى, سافرت إلى, سافر إلى, ولدت في, مدينة""")

PLACE_AFTER: Final = _phrases("""
    gezogen, gefahren, geflogen, gereist, umgezogen, geboren, में रहती, में रहता, में रहते""")
"""After a name, with a word like "in" before it where the language has such."""

PLACE_WEAK: Final = _words("in en em nach aus в из near")
"""Before a name: a place, if nothing else speaks against."""

WORK_BEFORE: Final = _phrases("""
    work at, works at, worked at, working at, work for, works for, worked for, working for, job at, joined, intern at,
    interned at, internship at, study at, studies at, studied at, studying at, employed by, employed at, hired by,
    arbeite bei, arbeitet bei, arbeiten bei, gearbeitet bei, angestellt bei, studiere an,
    trabajo en, trabaja en, trabajé en, trabajo para, trabaja para, travaille chez, travaillé chez, lavoro da, lavora da,
    lavoro per, lavora per, trabalho na, trabalha na, работаю в, работает в, работал в, работала в, شركة, جامعة,
    أعمل في, يعمل في, تعمل في, أعمل لدى, يعمل لدى, تعمل لدى""")

ORGANISATION_WORDS: Final = _words("""
    inc ltd llc gmbh ag corp corporation company university college school hospital bank institute foundation group
    universität hochschule klinik universidad universidade université università банк университет""")

PLACE_WORDS: Final = _words("""
    city street avenue park beach lake river mountain mountains island islands bridge airport station valley bay county
    mount road square""")

AND_I: Final = _phrases("and i, and me, und ich, y yo, et moi, e io, e eu, и я")

RELATED: Final = KIN | _words("married dating engaged sibling parent child spouse friends knows met")
"""Words of a relation whose both ends are people."""

PERSONAL: Final = _words("""
    home birthday partner allergy diet job employer hobby age health pet family wife husband sister brother children""")
"""Attributes that a person has."""

GERMAN_DETERMINERS: Final = _words("""
    der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner mein meine meinen meinem
    meiner dein deine deinen deinem deiner sein seine seinen seinem seiner ihr ihre ihren ihrem ihrer unser unsere
    unseren unserem euer eure dieser diese dieses diesen diesem jeder jede jedes jeden jedem welcher welche welches
    im am zum zur beim vom ins ans aufs fürs viel viele vielen wenig wenige mehr alle allen einige einigen zwei drei
    vier fünf sechs""")
"""What stands before a noun and hardly ever before a name."""

NOT_NAMES: Final = _words("""
    i ok okay tv am pm dvd cd diy omg lol lmao wow yeah yes no oh hey hi hello thanks thank please haha hahaha bye yay
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december mon tue tues wed weds thu thur thurs fri sat sun mondays tuesdays
    wednesdays thursdays fridays saturdays sundays jan feb mar apr jun jul aug sep sept oct nov dec
    montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar märz mai juni juli oktober dezember
    english assistant system let
    hause feierabend ordnung ende anfang
    it he she we they you this that these those there here what when where who why how everyone everybody someone
    somebody nobody anyone people mr mrs ms dr prof sie ihnen ihr usted ustedes вы вас вам ваш ich du er wir es man alle
    jemand niemand leute
    today tomorrow yesterday tonight""")
"""Written with a capital, or standing where names stand, and no names."""

JOINS: Final = _words("de da do dos das del di van von bin ibn al")
"""Inside a name, between two words with capitals."""

JOINS_OF: Final = _words("""
    university bank house lord game church museum isle city bay statue tower institute ministry department school
    gulf republic temple gates""")
"""Names go on over "of" only after these."""

ARABIC_JOINS: Final = _words("عبد أبو أبا أبي أم ابن بن بنت")
"""The word after them belongs to the name."""

ARABIC_PREFIXES: Final = "وفبلك"
"""And, so, in, for, like: written together with the word after them."""

ARABIC_NO_NAMES: Final = _words("""
    تعمل يعمل تعيش يعيش تسكن يسكن تحب يحب تدرس يدرس تريد يريد كان كانت قال قالت اسمها اسمه هي هو في التي الذي تقول يقول
    ذهب ذهبت سافر سافرت تزوج تزوجت مريض مريضة طبيب طبيبة مهندس مهندسة معلم معلمة من على إلى مع هذا هذه""")
"""What stands after "my sister" and is no name."""
