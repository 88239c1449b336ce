"""Hand on trained models: weights, settings, and a card that says what is known of them."""
