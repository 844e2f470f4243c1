"""The WSGI application: pypiserver with middleware, an authorization hook and a backend of our own.

An upload passes app (middleware: authentication, admission, audit of rejections), upload (pypiserver's auther hook:
receives the body, authorizes), pypiserver's own handler, and backend, which passes it on to wheelhouse.storage.store.
"""
