"""`make bench`: prints one table."""

from benchmarks import decode, evaluate
from benchmarks.measure import Case, table


def main() -> None:
    cases: list[Case] = [*decode.cases(), *evaluate.cases()]
    print(table(cases))


if __name__ == "__main__":
    main()
