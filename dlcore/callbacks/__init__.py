"""Callbacks: what happens between the steps of training.

https://keras.io/api/callbacks/
"""

from dlcore.callbacks.base import Callback
from dlcore.callbacks.callback_list import CallbackList
from dlcore.callbacks.checkpoints import BackupAndRestore, ModelCheckpoint
from dlcore.callbacks.csv_logger import CSVLogger
from dlcore.callbacks.functions import LambdaCallback
from dlcore.callbacks.history import History
from dlcore.callbacks.monitor import EarlyStopping
from dlcore.callbacks.progress import ProgbarLogger
from dlcore.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from dlcore.callbacks.stopping import StopAtLoss, TerminateOnNaN
from dlcore.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "StopAtLoss",
    "TensorBoard",
    "TerminateOnNaN",
]
