"""`pgmwatch notify test`: a notifier whose alerts come with a picture gets a sample of one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.charts import sample
from engine.delivery import trial
from engine.delivery.target import Address, Delivered, Message, Outcome, Target
from engine.locale import Locale


@dataclass
class Chat:
    """A target that keeps what it is sent."""

    address: Address
    takes_pictures: bool = True
    deadline_s: float = 1.0
    stuck: int = 0
    sent: list[Message] = field(default_factory=list)

    async def room(self) -> None:
        return

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        return Delivered()


def chat(name: str, *, chart: bool, takes_pictures: bool = True) -> Chat:
    return Chat(Address(name, name, (name,), chart=chart), takes_pictures)


async def test_a_sample_goes_where_pictures_go_and_nowhere_else() -> None:
    chats = [chat("shown", chart=True), chat("plain", chart=False), chat("text", chart=True, takes_pictures=False)]
    targets: Sequence[Target] = chats
    results = await trial.send(targets, Locale.KO, sample.sample)
    assert [result.delivered for result in results] == [True] * 3
    pictures = [one.sent[0].picture for one in chats]
    assert pictures == [sample.sample(Locale.KO), None, None]


async def test_no_sample_is_drawn_for_nobody() -> None:
    def draw(_locale: Locale) -> bytes:
        raise AssertionError

    (result,) = await trial.send([chat("plain", chart=False)], Locale.EN, draw)
    assert result.delivered
