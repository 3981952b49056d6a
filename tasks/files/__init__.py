"""Files of an attempt on the scratch disk: Arrow files, the room they take, and the keys in them.

The steps decide what the files hold; `tasks/stage.py` writes to S3.
"""
