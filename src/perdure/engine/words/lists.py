"""The closed lists of words that the analysis knows, by language."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOPS: dict[str, frozenset[str]] = {
    "english": _words("""
        a an the of to in on at for and or but is are was were be been being am do does did done doing what when where
        who whom whose which how why with by from as it its this that these those i you he she they we me my mine your
        yours his her hers him their theirs them our ours us has have had having will would can could should shall may
        might must about into than then so not no nor if out over s t d m ll ve re don didn doesn isn aren wasn weren
        won wouldn couldn shouldn hasn haven hadn there here too very just also"""),
    "german": _words("""
        der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren sein bin bist hat habe
        haben hatte wird werden wurde kann ich du er sie es wir ihr mich mir dich dir ihn ihm uns euch mein meine dein
        deine sein seine ihre unser nicht kein keine auch noch schon nur so wie was wer wann wo warum welche welcher
        welches zu zum zur in im an am auf aus bei mit nach von vom vor für über unter um bis durch dass als wenn"""),
    "french": _words("""
        le la les l un une des du de d et ou mais est sont était suis es été être ai as a avons avez ont avait je tu il
        elle on nous vous ils elles me m te t se s lui leur mon ma mes ton ta tes son sa ses notre nos votre vos ce cet
        cette ces c qu que qui quoi quand où comment pourquoi quel quelle quels quelles ne n pas plus très aussi dans en
        sur sous avec sans pour par au aux chez y j"""),
    "spanish": _words("""
        el la los las un una unos unas y o pero es son era eran soy eres ser estar está están estoy estaba fue he has ha
        hemos han había yo tú él ella nosotros ellos ellas me te se lo le les nos mi mis tu tus su sus nuestro este esta
        estos estas ese esa eso esto que qué quién cuándo dónde cómo cuál cuáles cuánto cuántos no ni sí muy también de
        del a al en con sin por para sobre entre como más ya"""),
    "italian": _words("""
        il lo la i gli le un uno una e ed o ma è sono era erano sei essere ho hai ha abbiamo hanno aveva io tu lui lei
        noi voi loro mi ti si ci vi ne mio mia miei tuo tua suo sua nostro questo questa questi quello quella che chi
        cosa quando dove come perché quale quali quanto non più molto anche di del della dei delle dello a al alla ai
        alle da dal dalla in nel nella con su sul sulla per tra fra"""),
    "portuguese": _words("""
        o a os as um uma uns umas e ou mas é são era eram sou ser estar está estão estou estava foi tenho tem têm tinha
        eu tu ele ela nós eles elas me te se lhe nos meu minha meus minhas teu tua seu sua seus suas nosso este esta
        esse essa isso isto que quem quando onde como qual quais quanto por porque não nem sim muito também de do da dos
        das ao à em no na nos nas com sem para pelo pela sobre entre mais já você"""),
    "dutch": _words("""
        de het een en of maar is zijn was waren ben bent heb hebt heeft hebben had wordt worden werd kan kun ik jij je u
        hij zij ze wij we jullie mij me jou hem haar ons hen mijn jouw uw onze hun niet geen ook nog al zo hoe wat wie
        wanneer waar waarom welke welk te in op aan uit bij met naar van voor over onder om tot door dat dit die deze
        als er dan"""),
    "swedish": _words("""
        en ett den det de och eller men är var vara varit har hade blir blev kan jag du han hon vi ni dem mig dig honom
        henne oss er min mitt mina din ditt dina sin sitt sina vår inte ingen också så hur vad vem när var varför vilken
        vilket vilka att i på av för med till från om över under efter som där här"""),
    "danish": _words("""
        en et den det de og eller men er var være været har havde bliver blev kan jeg du han hun vi i dem mig dig ham
        hende os jer min mit mine din dit dine sin sit sine vores ikke ingen også så hvordan hvad hvem hvornår hvor
        hvorfor hvilken hvilket hvilke at på af for med til fra om over under efter som der her"""),
    "norwegian": _words("""
        en ei et den det de og eller men er var være vært har hadde blir ble kan jeg du han hun vi dere dem meg deg ham
        henne oss min mitt mine din ditt dine sin sitt sine vår ikke ingen også så hvordan hva hvem når hvor hvorfor
        hvilken hvilket hvilke å at i på av for med til fra om over under etter som der her"""),
    "finnish": _words("""
        ja tai mutta on ovat oli olivat olla olen olet minä sinä hän me te he minun sinun hänen meidän teidän heidän
        minua minulla sinulla hänellä se ne tämä tuo nämä että kun jos niin kuin ei en et eivät myös vain jo mikä mitä
        kuka ketä milloin missä mistä mihin miksi miten kuinka"""),
    "romanian": _words("""
        un o unei unui și sau dar este sunt era erau fi fost am ai are avem au eu tu el ea noi voi ei ele mă te se îmi
        îți mi ți lui lor meu mea mei tău ta său sa nostru acest această acesta aceasta că ce cine când unde cum care cât
        câți nu mai foarte de la în din cu fără pe pentru prin al ale"""),
    "hungarian": _words("""
        a az egy és vagy de hogy is van vannak volt voltak lesz én te ő mi ti ők engem téged őt minket nekem neked neki
        ez ezt azt nem sem igen csak már még meg ki mit mikor hol hová honnan miért hogyan melyik mennyi hány ha mint"""),
    "turkish": _words("""
        bir ve veya ama ile için de da bu şu o ben sen biz siz onlar beni seni onu benim senin onun bizim sizin bana
        sana ona mi mı mu mü ne kim zaman nerede nereye nasıl neden niçin hangi kaç değil var yok çok daha en gibi kadar
        ise ki"""),
    "russian": _words("""
        и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по ее мне было вот от меня о из ему
        когда ну ли если или быть был него до вас уж вам ведь там потом себя ей они тут где есть надо ней для мы тебя их
        была чем сам чтоб без чего себе кто этот того потому этого какой какая какие ним здесь этом мой моя мои тем чтобы
        нее были куда зачем почему всех можно при об это эта эти"""),
    "greek": _words("""
        ο η το οι τα του τησ των τον την τουσ τισ ένασ μια μία ένα και ή αλλά είναι ήταν είμαι είσαι έχω έχεισ έχει
        είχε θα να δεν μην εγώ εσύ αυτόσ αυτή αυτό μου σου μασ σασ που πού πωσ πώσ πότε τι ποιοσ ποια ποιο γιατί όταν σε
        στο στη στην στον στα με από για ωσ"""),
    "arabic": _words("""
        في من على إلى الى عن مع هذا هذه ذلك تلك التي الذي هو هي هم أنا انا أنت انت نحن كان كانت يكون ليس لا لم لن ما ماذا
        متى أين اين كيف لماذا هل كم أي اي و أو او ثم قد إن ان أن كل"""),
    "hindi": _words("""
        का के की को में से पर और या है हैं था थे थी हूँ हो मैं तू तुम आप वह यह वे ये हम मेरा मेरी मेरे तुम्हारा आपका उसका ने तो भी ही
        नहीं क्या कब कहाँ कौन कैसे क्यों कितना कितने किस कि जो एक"""),
}
"""Words that say how a sentence is built and not what it is about, question words among them; case folded."""

ASKS: dict[str, frozenset[str]] = {
    "english": _words("""
        when what who where why how which whose whom did does do is are am was were can could would will should has have
        had tell list show describe find give name explain summarize summarise remind recall"""),
    "german": _words(
        "was wer wen wem wann wo wohin woher warum wie wieso welche welcher welches wessen hat ist sind"
    ),
    "french": _words("que qui quoi quand où comment pourquoi quel quelle quels quelles combien est"),
    "spanish": _words("qué quién quiénes cuándo dónde adónde cómo cuál cuáles cuánto cuánta cuántos cuántas"),
    "italian": _words("che chi cosa quando dove come perché quale quali quanto quanti"),
    "portuguese": _words("que quem quando onde como qual quais quanto quantos quantas"),
    "dutch": _words("wat wie wanneer waar waarom hoe welke welk heeft"),
    "swedish": _words("vad vem när var vart varför hur vilken vilket vilka"),
    "danish": _words("hvad hvem hvornår hvor hvorfor hvordan hvilken hvilket hvilke"),
    "norwegian": _words("hva hvem når hvor hvorfor hvordan hvilken hvilket hvilke"),
    "russian": _words("что кто когда где куда откуда почему зачем как какой какая какие сколько чей"),
}
"""First words that make a question, or a request, of a sentence without a question mark."""
