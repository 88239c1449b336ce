"""Numbers with their intervals: shares, AUCs and medians over mammograms, of which one patient may have several."""
