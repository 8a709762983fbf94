"""Forty people of the demo: who they are, and when they came into which sequence."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from dripstone.engine import enroll
from dripstone.ops.demo.letters import COURSE, WELCOME, WORKSHOP, Series
from dripstone.subscribers.models import State

WRITER, SHOP, TEAM, GUEST = "Writes a newsletter", "Runs a shop", "Team", "Came to the workshop"


def ago(days: float = 0, hours: float = 0) -> timedelta:
    return timedelta(days=days, hours=hours)


NOW = ago()


@dataclass(frozen=True, slots=True)
class Person:
    """entered    how long ago they came into each sequence; in none: on file only
    cancelled  how long ago they unsubscribed
    refused    the reply of a mail server that does not know them
    """

    first_name: str | None
    email_address: str
    tags: tuple[str, ...] = ()
    entered: tuple[tuple[Series, timedelta], ...] = ()
    source: enroll.Source = "form"
    state: str = State.ACTIVE
    fields: dict[str, str] = field(default_factory=dict)
    cancelled: timedelta | None = None
    refused: str = ""

    @property
    def came(self) -> timedelta:
        return max((at for _, at in self.entered), default=ago(days=2))


def _readers(
    series: Series, source: enroll.Source, tags: tuple[str, ...], *who: tuple[str, str, float]
) -> Iterable[Person]:
    """Those of whom there is nothing more to say: name, address, days ago."""
    for name, address, days in who:
        yield Person(name, address, tags, ((series, ago(days)),), source)


PEOPLE = (
    # The course: people at every letter, some at the end.
    Person("Hana", "hana.mori@example.org", (WRITER,), ((WELCOME, ago(33)), (COURSE, ago(24, 5))),
           fields={"newsletter": "Slow Kitchen", "goal": "a thousand readers by spring"}),
    Person("Tomasz", "tomasz.wolny@example.com", (SHOP,), ((COURSE, ago(21, 2)),)),
    Person("Priya", "priya.nair@example.org", (WRITER,), ((WELCOME, ago(26)), (COURSE, ago(17, 9))),
           fields={"newsletter": "Monsoon Notes"}),
    Person("Oluwaseun", "seun.adeyemi@example.com", (SHOP,), ((COURSE, ago(12, 7)),),
           fields={"goal": "fewer abandoned carts"}, cancelled=ago(11)),
    Person("Ingrid", "ingrid.solberg@example.org", (WRITER,), ((COURSE, ago(5, 4)),),
           fields={"newsletter": "Fjordbrev", "goal": "to publish every week"}),
    Person("Mateo", "mateo.rios@example.com", (SHOP,), ((COURSE, ago(3, 8)),), source="api"),
    Person(None, "reader.seven@example.org", (), ((COURSE, ago(2, 5)),)),
    Person("Ayşe", "ayse.demir@example.com", (TEAM,), ((COURSE, ago(1, 6)),), source="import"),
    Person("Zoë", "zoe.laurent@example.org", (WRITER,), ((WELCOME, ago(9)), (COURSE, ago(hours=20))),
           fields={"newsletter": "Petit Matin"}),
    Person("Linus", "linus.berg@example.com", (SHOP,), ((COURSE, ago(hours=1)),), source="api"),
    Person("Nkechi", "nkechi.obi@example.org", (), ((COURSE, ago(hours=3)),), state=State.INACTIVE),
    Person("Bob", "bob.hart@example.org", (WRITER,), ((COURSE, NOW),), source="import",
           fields={"newsletter": "Two Wheels Only", "goal": "to sound less like a brochure"}),
    Person("Mei", "mei.tanaka@example.com", (SHOP,), ((COURSE, NOW),), source="import",
           fields={"newsletter": "Tea by Post"}),
    # The welcome: somebody signs up every day or two.
    *_readers(WELCOME, "form", (WRITER,),
              ("Amara", "amara.okafor@example.org", 14.2), ("Joon", "joon.park@example.org", 11.6),
              ("Elif", "elif.kaya@example.com", 8.4), ("Søren", "soren.holm@example.org", 6.1),
              ("Camila", "camila.duarte@example.com", 4.3), ("Yusuf", "yusuf.rahman@example.org", 2.7),
              ("Maren", "maren.vogt@example.com", 1.2), ("Chiara", "chiara.conti@example.org", 0.4)),
    *_readers(WELCOME, "form", (),
              ("Pavel", "pavel.novak@example.com", 13.1), ("Aroha", "aroha.ngata@example.org", 9.8),
              ("Dmitri", "dmitri.volkov@example.com", 5.2), ("Leila", "leila.haddad@example.org", 3.4),
              ("Noor", "noor.aziz@example.com", 0.9)),
    Person("Grace", "grace.mensah@example.org", (SHOP,), ((WELCOME, ago(10.3)),), cancelled=ago(6)),
    Person("Ruth", "ruth.levin@example.com", (), ((WELCOME, ago(4.7)),),
           refused="550 5.1.1 There is no such mailbox here"),
    # The workshop was a week and a half ago; two came to the one before.
    *_readers(WORKSHOP, "import", (GUEST,),
              ("Anouk", "anouk.dubois@example.org", 19), ("Felix", "felix.brandt@example.com", 19),
              ("Ines", "ines.carvalho@example.org", 10), ("Kofi", "kofi.asante@example.com", 10),
              ("Miriam", "miriam.stern@example.org", 10), ("Tariq", "tariq.shah@example.com", 10),
              ("Wendy", "wendy.lowe@example.org", 10), ("Arjun", "arjun.mehta@example.com", 3)),
    Person("Sofia", "sofia.lind@example.org", (GUEST, WRITER), ((WORKSHOP, ago(10)), (WELCOME, ago(9.5))),
           source="import", fields={"newsletter": "Nordlys", "goal": "to finish what I start"}),
    Person("Bruno", "bruno.keller@example.com", (GUEST, SHOP), ((WORKSHOP, ago(3)),), source="import",
           fields={"goal": "one email a week"}),
    # On file only.
    Person("Greta", "greta.weiss@example.com", (WRITER,)),
    Person("Ann", "ann.doyle@example.org", (TEAM,)),
)  # fmt: skip
