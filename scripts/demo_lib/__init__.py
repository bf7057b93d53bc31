# SPDX-License-Identifier: Apache-2.0
"""The demo of scripts/demo: __main__.py tells the story, stage.py runs the programs, picture.py draws, client.py is one of
the programs that are balanced."""
