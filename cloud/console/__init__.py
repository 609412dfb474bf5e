"""The operators' console: shell, words and widgets that the features' pages share; `mount` puts it on the application.

Promises that a page only calls services, and that every action asks anew who is acting.
"""
