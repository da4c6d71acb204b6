"""That this file is here lets tests in the folders below import `fit_data`."""
