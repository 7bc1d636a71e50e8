"""Scripts beside a Python program, which sends them work and gives them a function to call: `python jobs.py` prints

    apples: 90
    pears: 180
    plums: no price for plums
    denied: permission "host" denied for 'price' in curious.lus at curious.lus:1: no pledge grants it

where the last line is of a script that may not call the function.
"""

import luspool

PRICES = {"apples": 30, "pears": 45}

SHOP = """
while true do
  local order = worker.peek()
  local ok, price = catch host.price(order.item)
  worker.message(`$(order.item): $(ok and price * order.amount or "no price for " .. order.item)`)
end
"""

ORDERS = [{"item": "apples", "amount": 3}, {"item": "pears", "amount": 4}, {"item": "plums", "amount": 1}]


def main() -> None:
    with luspool.Runtime(functions={"price": PRICES.__getitem__}) as runtime:
        shop = runtime.submit("shop.lus", source=SHOP, pledges=["host:price"])
        for order in ORDERS:
            shop.send(order)
        shop.send_eof()  # the script ends where it waits for more
        for answer in shop:
            print(answer)
        try:
            runtime.submit("curious.lus", source="host.price('apples')").result()
        except luspool.PermissionDeniedError as error:
            print("denied:", str(error).partition("\n")[0].partition(" (grant")[0].removeprefix("curious.lus: "))


if __name__ == "__main__":
    main()
