import pytest

from tlvcli.core.sizes import parse_size


@pytest.mark.parametrize(
    ("written", "num_bytes"),
    [
        ("2GB", 2_000_000_000),
        ("500 mb", 500_000_000),
        ("5GiB", 5 * 2**30),
        ("1.5kib", 1536),
        ("1TB", 10**12),
        ("12b", 12),
        ("12345678901234567", 12345678901234567),
        (1000, 1000),
    ],
)
def test_sizes(written: object, num_bytes: int) -> None:
    assert parse_size(written) == num_bytes


@pytest.mark.parametrize(
    "written", ["", "0", "0.1B", "2G", "-1", "GB", "1e9", "2 gigabytes", "٣GB", "9" * 30, True, []]
)
def test_what_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="such as 2GB"):
        parse_size(written)
