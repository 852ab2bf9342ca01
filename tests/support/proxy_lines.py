"""What the proxy writes of requests, as tests of all who count them read it."""

PROXY_LINES = """
100 shop.web -- 0 200 0 1 1
1100 shop.web ---- 0 200 0 1 9
1200 shop.web ---- +1 200 0 1 19
1300 shop.web.once SC-- 3 503 0 -1 -1
1400 shop.web sH-- 0 504 0 1 -1
1500 shop.web SD-- 0 200 0 1 5
1600 shop.web CH-- 0 -1 0 1 -1
1700 shop.web PR-- 0 400 -1 -1 -1
1800 shop.web LR-- 0 308 -1 -1 -1
1900 shop.web ---- 0 500 0 2 2
2100 shop.web.once ---- 0 101 0 0 3
2200 shop.web.here ---- 0 200 0 0 1
2200 shop.webs ---- 0 200 0 0 1
[NOTICE] (1) : something else
2300 shop.db SC 0 - - - -
2400 shop.db -- 0 - - - -
2500 shop.db CD 1 - - - -
"""
