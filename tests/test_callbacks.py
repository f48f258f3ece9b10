"""Callbacks: which hooks run when, what they are told, and what a terminal or a log file gets to see."""

import io
import sys

import numpy as np
import pytest

import dlcore
from dlcore import Sequential, layers
from dlcore.callbacks import Callback, CallbackList, History, LambdaCallback, ProgbarLogger, StopAtLoss

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


@pytest.fixture
def model():
    dlcore.utils.set_random_seed(3)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Epochs(Callback):
    """Notes every hook of training and epochs."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("train begin", logs))

    def on_train_end(self, logs=None):
        self.calls.append(("train end", logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append((f"epoch {epoch} begin", logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((f"epoch {epoch} end", dict(logs)))

    @property
    def order(self):
        return [name for name, _ in self.calls]


class Batches(Epochs):
    """Those of batches too."""

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append((f"batch {batch} begin", logs))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append((f"batch {batch} end", dict(logs)))


# ---- hooks ----


def test_hooks_in_order(model):
    seen = Batches()
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[seen])
    batches = [f"batch {k} {when}" for k in range(3) for when in ("begin", "end")]
    assert seen.order == ["train begin", "epoch 0 begin", *batches, "epoch 0 end", "epoch 1 begin", *batches,
                          "epoch 1 end", "train end"]  # fmt: skip
    assert seen.model is model
    assert seen.params == {"epochs": 2, "steps": 3, "samples": 20, "verbose": 0}
    for name, logs in seen.calls:
        assert set(logs) == (set() if name.endswith("begin") else {"loss", "accuracy"}), name
        assert all(type(value) is float for value in logs.values())


def test_logs_of_the_last_batch_are_those_of_the_epoch(model):
    seen = Batches()
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=seen)  # one callback needs no list
    logs = dict(seen.calls)
    assert logs["batch 2 end"] == logs["epoch 0 end"] == logs["train end"]


def test_validation_is_in_the_logs_of_epochs(model):
    seen = Batches()
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[seen], validation_split=0.25, validation_freq=2)
    logs = dict(seen.calls)
    assert set(logs["epoch 0 end"]) == set(logs["batch 1 end"]) == {"loss", "accuracy"}
    assert [*logs["epoch 1 end"]] == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert logs["epoch 1 end"]["val_loss"] == model.evaluate(X[15:], Y[15:], verbose=0)[0]


def test_looking_at_batches_changes_nothing(model):
    twin = Sequential.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    twin.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    dlcore.utils.set_random_seed(1)
    model.fit(X, Y, batch_size=3, epochs=3, verbose=0, callbacks=[Batches()])
    dlcore.utils.set_random_seed(1)
    twin.fit(X, Y, batch_size=3, epochs=3, verbose=0, callbacks=[Epochs()])
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.history.history == twin.history.history


@pytest.mark.parametrize(("callback", "runs"), [(Batches, 10), (Epochs, None)])
def test_only_a_batch_hook_makes_steps_come_back_one_by_one(callback, runs, model, monkeypatch):
    from dlcore.graph.program import Function

    counts = []
    real = Function.runs

    class Counted:
        def __init__(self, program):
            self.program = program

        def run(self, count, threads, weights):
            counts.append(count)
            self.program.run(count, threads)

    def counted(self, n, batch):
        return [(Counted(program), steps) for program, steps in real(self, n, batch)]

    monkeypatch.setattr(Function, "runs", counted)
    model.fit(X, Y, batch_size=2, verbose=0, callbacks=[callback()])
    assert sum(counts) == 10
    assert counts == [1] * runs if runs else len(counts) < 10


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_stop_training_before_the_first_batch_ends_after_it(model, hook):
    callback = LambdaCallback(**{hook: lambda *_: setattr(model, "stop_training", True)})
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    assert model.optimizer.iterations == 1


def test_stop_training_ends_after_the_batch_or_the_epoch(model):
    class StopBatch(Batches):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.model.stop_training = batch == 1

    seen = StopBatch()
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[seen])
    assert seen.order[-3:] == ["batch 1 end", "epoch 0 end", "train end"]

    class StopEpoch(Epochs):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            self.model.stop_training = epoch == 1

    seen = StopEpoch()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[seen])
    assert seen.order[-2:] == ["epoch 1 end", "train end"]
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2  # the next fit starts afresh


def test_a_callback_that_fails_leaves_a_usable_model(model):
    class Fail(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=[Fail()])
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("wrong", ["early", Callback, [History(), 3]])
def test_what_is_no_callback_is_refused(wrong, model):
    with pytest.raises(TypeError, match=r"callbacks: expected Callback objects\. Received"):
        model.fit(X, Y, verbose=0, callbacks=wrong)


def test_on_train_closed_comes_last_whatever_happened(model):
    class Closed(Epochs):
        def on_train_closed(self):
            self.calls.append(("closed", None))

    seen = [Closed(), Closed()]
    model.fit(X, Y, verbose=0, callbacks=seen)
    assert [c.order[-2:] for c in seen] == [["train end", "closed"]] * 2

    class Fails(Closed):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyError("mine")

        def on_train_closed(self):
            super().on_train_closed()
            raise ValueError("mine too")

    seen = [Fails(), Closed()]
    with pytest.raises(ValueError, match="mine too") as caught:
        model.fit(X, Y, verbose=0, callbacks=seen)
    assert isinstance(caught.value.__context__, KeyError)
    assert [c.order[-1] for c in seen] == ["closed", "closed"] and "train end" not in seen[1].order


def test_older_names_of_the_batch_hooks(model):
    class Older(Callback):
        def __init__(self):
            self.calls = []

        def on_batch_begin(self, batch, logs=None):
            self.calls.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            self.calls.append(("end", batch, *logs))

    seen = Older()
    model.fit(X, Y, batch_size=10, verbose=0, callbacks=[seen])
    assert seen.calls == [(*when, *names) for k in (0, 1) for when, names in
                          ((("begin", k), ()), (("end", k), ("loss", "accuracy")))]  # fmt: skip


MODES = {"train": "wants_batches", "test": "wants_test_batches", "predict": "wants_predict_batches"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("when", ["begin", "end"])
def test_who_asks_for_batches(mode, when):
    hook = f"on_{mode}_batch_{when}"
    for callback in (type("Mine", (Callback,), {hook: lambda self, batch, logs=None: None})(),
                     LambdaCallback(**{hook: lambda batch, logs: None})):  # fmt: skip
        hooks = CallbackList([[callback]], None, 0, {})  # lists in lists are one list
        assert {name: getattr(hooks, name) for name in MODES.values()} == {
            name: name == MODES[mode] for name in MODES.values()
        }
    assert not any(getattr(CallbackList([Callback(), History()], None, 1, {}), name) for name in MODES.values())


def test_every_hook_reaches_every_callback():
    calls = []

    def named(who, hook):
        return lambda *args: calls.append((who, hook, *args))

    hooks = [
        name for name in vars(Callback) if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end")
    ]
    several = CallbackList([LambdaCallback(**{hook: named(who, hook) for hook in hooks}) for who in "ab"], None, 0, {})
    for hook in hooks:
        calls.clear()
        args = (3, {"loss": 1.0}) if "batch" in hook or "epoch" in hook else ({"loss": 1.0},)
        if hook == "on_train_closed":
            several.close()
            args = ()
        else:
            getattr(several, hook)(*args)
        assert calls == [("a", hook, *args), ("b", hook, *args)]


# ---- LambdaCallback ----


def test_lambda_callback(model):
    calls = []
    model.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[LambdaCallback(
        on_epoch_begin=lambda epoch, logs: calls.append(epoch),
        on_train_end=lambda logs: calls.append(sorted(logs)),
        on_batch_end=lambda batch, logs: calls.append(f"batch {batch}"),
    )])  # fmt: skip
    assert calls == [0, "batch 0", "batch 1", 1, "batch 0", "batch 1", ["accuracy", "loss"]]


def test_lambda_callback_knows_its_hooks():
    with pytest.raises(TypeError, match=r"no hook 'on_epoch_stop'\. Did you mean 'on_epoch_"):
        LambdaCallback(on_epoch_stop=print)
    with pytest.raises(TypeError, match=r"no hook 'params'$"):
        LambdaCallback(params=print)
    with pytest.raises(TypeError, match=r"on_epoch_end must be a function\. Received: on_epoch_end=3"):
        LambdaCallback(on_epoch_end=3)


# ---- History ----


def test_history(model):
    history = model.fit(X, Y, epochs=5, initial_epoch=2, verbose=0, validation_data=(X, Y))
    assert history is model.history and history.epoch == [2, 3, 4]
    assert [*history.history] == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(values) == 3 and {type(value) for value in values} == {float} for values in history.history.values())


def test_a_history_of_your_own_is_used_and_goes_on(model):
    mine = History()
    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=[mine]) is mine
    assert model.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[mine]) is mine
    assert mine.epoch == [0, 1, 2] and len(mine.history["loss"]) == 3


def test_plot(model, tmp_path):
    pytest.importorskip("matplotlib")
    history = model.fit(X, Y, epochs=4, verbose=0, validation_split=0.5, validation_freq=2)
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    training, validation = figure.axes[0].lines
    assert list(training.get_xdata()) == [1, 2, 3, 4] and list(validation.get_xdata()) == [2, 4]
    assert list(validation.get_ydata()) == history.history["val_loss"]
    assert history.plot() is not None
    assert "matplotlib.pyplot" not in sys.modules or "Agg" in sys.modules["matplotlib"].get_backend().title()


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="extra 'plot'"):
        History().plot()


# ---- StopAtLoss ----


def test_stop_at_loss(model):
    threshold = 0.4
    losses = model.fit(X, Y, epochs=2000, verbose=0, callbacks=[StopAtLoss(threshold)]).history["loss"]
    assert len(losses) < 2000 and losses[-1] <= threshold < losses[-2]


def test_stop_at_loss_watches_any_log(model):
    stop = StopAtLoss(99.0, monitor="val_loss")
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[stop], validation_data=(X, Y))
    assert len(history.epoch) == 1
    with pytest.raises(ValueError, match=r"monitor to be one of \['accuracy', 'loss'\]\. Received: monitor='val_loss'"):
        model.fit(X, Y, verbose=0, callbacks=[StopAtLoss(1, monitor="val_loss")])


def test_nan_does_not_stop(model):
    history = model.fit(np.full_like(X, np.nan), Y, epochs=2, verbose=0, callbacks=[StopAtLoss(1.0)])
    assert len(history.epoch) == 2


@pytest.mark.parametrize("threshold", [None, "0.1", float("nan"), True])
def test_threshold_must_be_a_number(threshold):
    with pytest.raises(ValueError, match="StopAtLoss: threshold must be a number"):
        StopAtLoss(threshold)


# ---- what is shown ----


def test_silent(model, capsys):
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [2, "auto"])
def test_one_line_per_epoch_when_nobody_watches(verbose, model, capsys):
    model.fit(X, Y, epochs=3, verbose=verbose, validation_split=0.5)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert not err and not set("\r\b\x1b") & set(out)
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert all(name in lines[0] for name in ("s - loss: ", "accuracy: ", "val_loss: ", "val_accuracy: "))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_a_bar_on_a_terminal(verbose, model, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=verbose)
    shown = terminal.getvalue()
    last = shown.rstrip("\n").split("\r")[-1]
    assert "\r" in shown and "Epoch 2/2" in last and "10/10" in last and "loss=" in last and "accuracy=" in last


def test_the_bar_is_closed_when_training_is_interrupted(model, monkeypatch):
    class Interrupt(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=2, verbose=1, callbacks=[Interrupt()])
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize("verbose", [3, -1, "yes", None])
def test_other_verbose_is_refused(verbose, model):
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto'"):
        model.fit(X, Y, verbose=verbose)


def test_a_logger_of_your_own(model, capsys):
    for verbose in (0, 1, 2):  # it takes the place of the usual one
        model.fit(X, Y, epochs=2, verbose=verbose, callbacks=[ProgbarLogger(bar=False)])
        assert len(capsys.readouterr().out.splitlines()) == 2
