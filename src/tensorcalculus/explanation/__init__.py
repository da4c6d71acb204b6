"""How a derivative comes about, step by step: by differentials, by the network, by indices, and
by back-propagation.
"""
