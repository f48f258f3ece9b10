"""A convolutional network in scikit-learn's grid search, on its 1,797 digits of 8 x 8: some seconds on two cores.

Needs the extra `sklearn`.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from dlcore.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Rescaling
from dlcore.models import Sequential
from dlcore.sklearn import DLClassifier


def network(meta, filters=16, dropout=0.0):
    """What a grid searches are arguments of this function, and of the estimator."""
    return Sequential([
        Rescaling(1 / 16), Conv2D(filters, 3, padding="same", activation="relu"), MaxPooling2D(2), Flatten(),
        Dropout(dropout), Dense(64, activation="relu"), Dense(meta["n_classes_"], activation="softmax"),
    ])  # fmt: skip


def main() -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    classifier = DLClassifier(network, input_shape=(8, 8, 1), epochs=15, random_state=0)
    grid = {"model__filters": [8, 32], "model__dropout": [0.0, 0.3], "learning_rate": [0.001, 0.004]}
    search = GridSearchCV(classifier, grid, cv=3).fit(X_train, y_train)
    print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}, {search.best_score_:.4f} in validation")
    print(f"on the test set: {search.score(X_test, y_test):.4f}")


if __name__ == "__main__":
    main()
