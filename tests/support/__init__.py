"""What the tests are built with: a scripted provider, the wire recordings, faulty sockets, processes.

Nothing here imports the product: the support must be able to contradict it.
"""
