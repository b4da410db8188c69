"""Contract tests of every environment and algorithm in sight, installed plug-ins' included.

pytest --pyargs metarl_cli.testing -k my_env
"""
