"""Words and sentences that the sample corpus is made of.

In a clause, ``{e}`` is an entity and ``{t}`` the word that reveals its type. In the near clauses these two are
neighbours; in the far ones they are apart, and the neighbours of ``{e}`` do not depend on the type. The other slots
are filled from ``FILLERS``.
"""

TRIGGERS: dict[str, tuple[str, ...]] = {
    kind: tuple(words.split())
    for kind, words in {
        "PER": "mayor singer nurse poet lawyer painter judge teacher farmer pilot dancer doctor minister goalkeeper "
        "widow prince gardener chemist sailor composer waiter detective orphan translator",
        "ORG": "company bank ministry party union airline newspaper publisher brewery charity orchestra university "
        "agency committee insurer carmaker retailer broadcaster club court cooperative startup regiment parliament",
        "LOC": "river village valley island mountain harbour suburb province desert lake peninsula forest canyon "
        "coast street bay glacier district volcano meadow marsh square port plateau",
        "MISC": "novel festival treaty language painting opera award religion dialect tournament film anthem ceremony "
        "dance comet poem holiday recipe manuscript alphabet sonata doctrine armistice ballad",
    }.items()
}

FILLERS: dict[str, tuple[str, ...]] = {
    "people": ("critics", "neighbours", "visitors", "readers", "children", "experts", "travellers", "students", "many"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("January", "March", "April", "June", "August", "October", "December"),
    "season": ("spring", "summer", "autumn", "winter"),
    "adv": ("often", "rarely", "still", "always", "already", "perhaps", "quietly", "usually", "never"),
    "adj": ("famous", "small", "old", "modest", "strange", "young", "celebrated", "forgotten", "remarkable", "quiet"),
    "num": ("two", "three", "seven", "twelve", "twenty", "forty", "90", "150"),
}

NEAR_CLAUSES: tuple[str, ...] = (
    "the {adj} {t} {e} was mentioned again on {day}",
    "{people} {adv} speak of the {t} {e}",
    "in {month} the {t} {e} became {adj}",
    "what they say about the {t} {e} is {adv} true",
    "the question of {day} was why the {t} {e} is so {adj}",
    "{num} pages on the {t} {e} were not enough",
    "it was the {t} {e} that {people} talked about",
    "no {season} is complete without the {adj} {t} {e}",
    "{people} asked on {day} whether the {t} {e} still matters",
    "the {t} {e} has had many names , {people} say",
)

FAR_CLAUSES: tuple[str, ...] = (
    "the {t} that {people} remember most is {adv} {e}",
    "{e} was {adv} described as a {adj} {t}",
    "after {num} years , {e} is again a {adj} {t}",
    "nobody here had heard of {e} before the {t} was mentioned on {day}",
    "{people} {adv} speak of {e} as if no other {t} mattered",
    "as a {t} , it is said , {e} has no equal",
    "what they say about {e} is {adv} true of any {adj} {t}",
    "in {month} {e} became the {adj} {t} of the year",
    "the {adj} {t} we wrote about on {day} was {e}",
    "with {e} , {people} finally have a {t} to be proud of",
    "this {t} has had many names , but {people} say {e}",
    "{people} asked on {day} whether {e} was really such a {adj} {t}",
    "had {e} not been the {t} in question , nothing would have happened",
    "it was {e} , not another {t} , that {people} talked about",
    "for {people} the best {t} of the {season} was {adv} {e}",
    "a letter about {e} arrived on {day} , and the {adj} {t} is famous now",
    "every {t} has its critics , and {e} has {num} of them",
    "when {people} think of a {adj} {t} , they {adv} think of {e}",
    "{num} pages on {e} were not enough for so {adj} a {t}",
    "without {e} , {people} would not have known which {t} to choose",
    "the question of {day} was why {e} , of all things , is called a {t}",
    "they compared {e} with a {adj} {t} from the north",
    "a {adj} {t} , {people} wrote in {month} , deserves more than {e} got",
    "this {season} {e} is in the news because the {t} turned {num}",
)

CLAUSES_WITHOUT_ENTITY: tuple[str, ...] = (
    "the {t} was not mentioned again before {month}",
    "{people} waited {num} hours in the rain on {day}",
    "it {adv} rains here in the {season} , {people} say",
    "no {adj} {t} is {adv} what it seems to be",
    "prices rose by {num} per cent in {month} and fell again on {day}",
    "{num} {people} asked for the {adj} {t} , but nobody answered",
    "the weather on {day} was as {adj} as the {t} itself",
)

JOINTS: tuple[str, ...] = (" , while ", " ; ", " , and yet ")

ONSETS: tuple[str, ...] = (
    "b", "br", "d", "dr", "f", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z"
)  # fmt: skip
VOWELS: tuple[str, ...] = ("a", "e", "i", "o", "u", "ai", "ou")
CODAS: tuple[str, ...] = ("", "", "l", "n", "r", "s", "m", "nd", "th")
