import threading
import time

import numpy as np
import pytest

from clrun.images.decoding import AHEAD, CHUNK, decoded, num_threads

SHAPE = (1, 2, 2)


def number(item: int) -> np.ndarray:
    return np.full(SHAPE, item % 256, np.uint8)


@pytest.mark.parametrize("count", [0, 1, CHUNK, 5 * CHUNK + 3])
def test_every_item_comes_once_and_in_order(count):
    pieces = list(decoded(range(count), number, SHAPE))

    assert [piece[i, 0, 0, 0] for piece in pieces for i in range(len(piece))] == [
        k % 256 for k in range(count)
    ]


def test_only_a_few_pieces_are_decoded_ahead():
    seen, lock = set(), threading.Lock()

    def decode(item: int) -> np.ndarray:
        with lock:
            seen.add(item // CHUNK)
        return number(item)

    pieces = decoded(range(100 * CHUNK), decode, SHAPE)
    next(pieces)
    pieces.close()

    assert len(seen) <= AHEAD * num_threads() + 1


def test_a_failure_comes_out_as_it_is():
    def decode(item: int) -> np.ndarray:
        if item == CHUNK + 1:
            raise KeyError("image 65")
        return number(item)

    with pytest.raises(KeyError, match="image 65"):
        list(decoded(range(3 * CHUNK), decode, SHAPE))


def test_who_goes_away_waits_for_an_image_and_for_no_piece():
    begun, seen, lock = threading.Event(), [], threading.Lock()

    def decode(item: int) -> np.ndarray:
        with lock:
            seen.append(item)
        if item >= CHUNK:
            begun.set()
            time.sleep(0.05)
        return number(item)

    pieces = decoded(range((AHEAD + 4) * num_threads() * CHUNK), decode, SHAPE)
    next(pieces)
    begun.wait()
    pieces.close()

    slow = [item for item in seen if item >= CHUNK]
    assert 0 < len(slow) < CHUNK
