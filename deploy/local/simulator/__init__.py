"""The simulated market: from data and a seed to the events its firms would say, and the sending of them."""
