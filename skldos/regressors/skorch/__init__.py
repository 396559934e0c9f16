"""A skorch regressor that follows the rules of scikit-learn, and how its state is stored."""
