import time
from test_interrupted import *
def test_x(ready):
    ready.deployed(ready.make(1))
    script = ready.place(ready.make(2))
    gate = gate_at(ready, SWITCH[4])
    running = ready.start(f"bash {script}")
    gate.wait()
    running.kill("INT")
    ready.tap.open()
    time.sleep(3)
    print(ready.inside("ps","axfo","pid,stat,wchan:20,cmd"))
    print(running._files[1].read_text())
    for l in ready.tap.lines()[-12:]: print(l[:100].replace("\n"," "), l[-80:])
    print(open("/proc/self/status").read().split("SigIgn")[1][:30])
