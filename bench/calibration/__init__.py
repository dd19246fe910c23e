"""How far honest replays of a segment lie apart, how far cheats lie from them, and what bound to put between.

Nothing here needs more than torch and numpy, so it also runs where nothing else of ours is installed.
"""
