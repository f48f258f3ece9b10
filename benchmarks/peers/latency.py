"""Jobs of the predicting peers, from a function that predicts one image and one that predicts many."""

import time

GAP = 0.02  # seconds between cold calls: long enough for idle threads to fall asleep


def jobs(one, many):
    """{"one": calls back to back, "cold": calls after a pause, "many": batches}; the first two time every call."""

    def timed(gap):
        def run(count):
            seconds = []
            for _ in range(count):
                if gap:
                    time.sleep(gap)
                start = time.perf_counter()
                one()
                seconds.append(time.perf_counter() - start)
            return seconds

        return run

    def batches(count):
        for _ in range(count):
            many()
        return 0.0

    return {"one": timed(0), "cold": timed(GAP), "many": batches}
