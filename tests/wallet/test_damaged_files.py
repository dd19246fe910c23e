"""Every file that a wallet reads, spoilt as the fuzzer spoils it (`python -m tests.fuzz wallet-files`)."""

from tests.fuzz.mutation import Seeded
from tests.fuzz.wallet_files import KINDS, valid, wallet_files


def test_what_is_valid_is_read_and_written_alike() -> None:
    assert set(KINDS) == set(valid())
    for name, (read, written) in KINDS.items():
        for each in valid()[name]:
            assert read(written(each)) == each


def test_spoilt_files_are_refused_in_words_or_are_written_back_alike() -> None:
    accepted = sum(wallet_files(Seeded(seed)) for seed in range(4_000))
    # Some damage changes nothing that counts, such as white space or a label: both ways are taken.
    assert 0 < accepted < 2_000
