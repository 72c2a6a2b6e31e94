"""Keras 3 with PyTorch underneath: compile and fit, with validation data."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from digest import digest
from rows import BATCH, report, rows

keras.utils.set_random_seed(7)
x, y, held_x, held_y = rows()
model = keras.Sequential(
    [
        keras.layers.Input((20,)),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="relu"),
        keras.layers.Dense(3),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(0.02),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
fitted = model.fit(
    x.numpy(),
    y.numpy(),
    batch_size=BATCH,
    epochs=3,
    validation_data=(held_x.numpy(), held_y.numpy()),
    verbose=0,
)
report(
    loss=fitted.history["loss"],
    heldout=fitted.history["val_loss"],
    accuracy=fitted.history["val_accuracy"],
    training=fitted.history["accuracy"],
)
digest(model)
