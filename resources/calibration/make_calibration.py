#!/usr/bin/env python3
"""Makes calibration.txt and recovery-chat.jsonl beside this file. Plain python3, seed below; run it to make them again.

calibration.txt joins the essays of essays.txt with seeded worked examples, dialogues and small programs, so that a
sweep sees prose, numbers, code and conversation. recovery-chat.jsonl holds short question-and-answer chats. The
arithmetic items never use the numbers of resources/items (they are drawn from other ranges and worded differently).
"""
import json
import pathlib
import random

SEED = 20260101
HERE = pathlib.Path(__file__).parent
draw = random.Random(SEED)

NAMES = ["Amina", "Bruno", "Chen", "Dara", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kofi", "Lena", "Mateo",
         "Nadia", "Oskar", "Priya", "Rosa", "Sven", "Tomoko", "Yusuf"]
GOODS = [("apple", "apples"), ("pencil", "pencils"), ("ticket", "tickets"), ("candle", "candles"), ("stamp", "stamps"),
         ("jar of honey", "jars of honey"), ("notebook", "notebooks"), ("bulb", "bulbs")]

CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima", "Norway": "Oslo", "Egypt": "Cairo",
            "Canada": "Ottawa", "Portugal": "Lisbon", "Vietnam": "Hanoi", "Poland": "Warsaw", "Chile": "Santiago",
            "Ghana": "Accra", "Austria": "Vienna", "Greece": "Athens", "Cuba": "Havana", "Ireland": "Dublin",
            "Nepal": "Kathmandu", "Morocco": "Rabat", "Hungary": "Budapest", "Thailand": "Bangkok"}
OPPOSITES = {"hot": "cold", "early": "late", "heavy": "light", "deep": "shallow", "narrow": "wide", "rough": "smooth",
             "ancient": "modern", "noisy": "quiet", "sharp": "blunt", "cheap": "expensive", "full": "empty",
             "brave": "timid", "dry": "wet", "thick": "thin", "generous": "stingy", "simple": "complicated"}
PLURALS = {"mouse": "mice", "leaf": "leaves", "child": "children", "city": "cities", "knife": "knives", "tooth": "teeth",
           "box": "boxes", "berry": "berries", "goose": "geese", "wolf": "wolves", "potato": "potatoes", "man": "men"}
DEFINITIONS = {
    "photosynthesis": "Photosynthesis is how plants use light to turn water and carbon dioxide into sugar and oxygen.",
    "evaporation": "Evaporation is the change of a liquid into a gas at its surface, below the boiling point.",
    "a peninsula": "A peninsula is a piece of land that is almost surrounded by water but joined to the mainland.",
    "friction": "Friction is the force that resists two surfaces sliding over each other.",
    "a metaphor": "A metaphor describes one thing as if it were another, to show what they have in common.",
    "gravity": "Gravity is the attraction between masses; it keeps us on the ground and the planets in their orbits.",
    "an ecosystem": "An ecosystem is a community of living things together with the place they live in.",
    "inflation": "Inflation is a general rise of prices, so that the same money buys less than before.",
    "a vaccine": "A vaccine trains the immune system to recognise a germ before a real infection happens.",
    "erosion": "Erosion is the wearing away of rock and soil by water, wind or ice.",
    "a prime number": "A prime number is a whole number greater than one that only one and itself divide evenly.",
    "an algorithm": "An algorithm is a list of exact steps that solves a problem in finite time.",
    "humidity": "Humidity is the amount of water vapour in the air.",
    "a habitat": "A habitat is the natural home of a plant or an animal.",
    "the equator": "The equator is the imaginary circle around the Earth at equal distance from both poles.",
    "a solvent": "A solvent is a liquid in which another substance can be dissolved.",
    "compost": "Compost is decayed plant material that feeds the soil.",
    "a synonym": "A synonym is a word with nearly the same meaning as another word."}
HOW_TO = {
    "sharpen pruning shears": ["Clean the blades with soap and dry them.", "Follow the bevel with a fine stone in one direction.",
                               "Remove the burr on the flat side with one light stroke.", "Oil the pivot and wipe off the rest."],
    "boil an egg": ["Bring water to a gentle boil.", "Lower the egg in with a spoon.", "Wait seven minutes for a soft yolk, ten for a firm one.",
                    "Cool it in cold water before peeling."],
    "repot a plant": ["Choose a pot one size larger.", "Put fresh soil on the bottom.", "Loosen the roots and set the plant in.",
                      "Fill up, press gently and water well."],
    "back up your files": ["List the folders that matter.", "Copy them to a second drive.", "Keep one copy in another building.",
                           "Test once in a while that a file can be restored."],
    "plan a walk": ["Look at the map and the weather.", "Tell somebody where you are going.", "Pack water, food and a jacket.",
                    "Turn back in time to be home before dark."],
    "clean a bicycle chain": ["Wipe the chain with a dry cloth.", "Brush off the dirt with a degreaser.", "Rinse and let it dry.",
                              "Put one drop of oil on each link and wipe off the surplus."],
    "write a thank-you note": ["Say what you are thanking for.", "Add one sentence on what it meant to you.", "Look forward to the next meeting.",
                               "Sign with your name."],
    "make tea": ["Boil fresh water.", "Warm the pot.", "Add one spoon of leaves for each cup.", "Pour the water on and wait four minutes."]}


def worked_example():
    """One paragraph of arithmetic with its steps."""
    name, other = draw.sample(NAMES, 2)
    _, goods = draw.choice(GOODS)
    kind = draw.randrange(4)
    if kind == 0:
        boxes, each, given = draw.randint(13, 29), draw.randint(11, 24), draw.randint(21, 90)
        return (f"{name} packs {boxes} boxes with {each} {goods} in each and gives {given} {goods} to {other}. Together there were "
                f"{boxes} times {each}, which is {boxes * each}. After the gift {boxes * each} minus {given}, that is "
                f"{boxes * each - given}, are left.")
    if kind == 1:
        speed, hours = draw.randint(41, 97), draw.randint(6, 12)
        return (f"A train runs at {speed} kilometres an hour. In {hours} hours it covers {speed} times {hours} kilometres, so "
                f"{speed * hours} kilometres in all. Half of the way would be {speed * hours / 2:g} kilometres.")
    if kind == 2:
        a, b = draw.randint(120, 899), draw.randint(120, 899)
        return (f"To add {a} and {b}, add the hundreds first: {a // 100 * 100} and {b // 100 * 100} make {(a // 100 + b // 100) * 100}. "
                f"The rest, {a % 100} and {b % 100}, makes {a % 100 + b % 100}. The sum is {a + b}.")
    total, share = draw.randint(30, 70) * 4, draw.choice([(4, "a quarter"), (2, "half")])
    return (f"Of {total} {goods}, {share[1]} is {total // share[0]}, because {total} divided by {share[0]} is {total // share[0]}. "
            f"The remaining part is {total - total // share[0]}.")


def dialogue():
    a, b = draw.sample(NAMES, 2)
    place, thing = draw.choice([("the workshop", "the long saw"), ("the library", "the atlas"), ("the station", "the blue suitcase"),
                                ("the garden", "the watering can"), ("the kitchen", "the big pot"), ("the office", "the spare key")])
    time = draw.choice(["before noon", "after the rain", "in ten minutes", "tomorrow morning", "as soon as the bus comes"])
    reason = draw.choice(["I promised it to my sister", "we need it for the festival", "the old one broke last week",
                          "somebody has to try it first", "it will be quieter then"])
    return (f"“Have you seen {thing}?” asked {a}.\n“I left it in {place},” said {b}. “Do you need it now?”\n"
            f"“Only {time}, because {reason}.”\n“Then I will bring it myself,” {b} answered, “and we can look at the other things on the way.”")


def program():
    name, start, step, end = draw.choice(["total", "squares", "odd", "table"]), draw.randint(0, 3), draw.randint(2, 5), draw.randint(20, 60)
    if name == "total":
        return f"def total(numbers):\n    result = {start}\n    for number in numbers:\n        result += number\n    return result\n\nprint(total(range({start}, {end}, {step})))"
    if name == "squares":
        return f"squares = [number * number for number in range({start}, {end}) if number % {step} == 0]\nfor value in squares:\n    print(value)"
    if name == "odd":
        return f"int countOdd(const std::vector<int> &values)\n{{\n    int count = 0;\n    for (int value : values)\n        count += value % 2 != 0;\n    return count > {end} ? {end} : count;\n}}"
    return f"SELECT name, COUNT(*) AS visits\nFROM guests\nWHERE year >= {1990 + end}\nGROUP BY name\nHAVING COUNT(*) > {step}\nORDER BY visits DESC;"


def calibration_text():
    essays = [part.strip() for part in (HERE / "essays.txt").read_text(encoding="utf-8").split("\n\n\n") if part.strip()]
    pieces = []
    for essay in essays:
        pieces.append(essay)
        pieces.append("\n\n".join(worked_example() for _ in range(3)))
        pieces.append(dialogue())
        if draw.random() < 0.5:
            pieces.append(program())
    return "\n\n".join(pieces) + "\n"


def chats():
    rows = []

    def add(question, answer, system=None):
        messages = [{"role": "system", "content": system}] if system else []
        rows.append({"messages": messages + [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})

    for country, capital in CAPITALS.items():
        add(draw.choice([f"What is the capital of {country}?", f"Which city is the capital of {country}?", f"Name the capital of {country}."]),
            draw.choice([f"The capital of {country} is {capital}.", f"{capital} is the capital of {country}."]))
    for word, opposite in OPPOSITES.items():
        add(draw.choice([f"What is the opposite of “{word}”?", f"Give me an antonym of {word}."]), f"The opposite of “{word}” is “{opposite}”.")
    for word, plural in PLURALS.items():
        add(f"What is the plural of “{word}”?", f"The plural of “{word}” is “{plural}”.")
    for term, text in DEFINITIONS.items():
        add(draw.choice([f"What is {term}?", f"Explain {term} in one sentence.", f"Can you tell me what {term} is?"]), text)
    for task, steps in HOW_TO.items():
        add(f"How do I {task}?", "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1)))
        add(f"What is the first step if I want to {task}?", f"The first step: {steps[0]}")
        add(f"In one short paragraph, how do I {task}?", " ".join(steps))
    while len(rows) < 360:
        name, other = draw.sample(NAMES, 2)
        _, goods = draw.choice(GOODS)
        kind = draw.randrange(6)
        if kind == 0:
            a, b = draw.randint(102, 480), draw.randint(102, 480)
            add(f"What is {a} + {b}?", f"{a} + {b} = {a + b}.")
        elif kind == 1:
            a, b = draw.randint(12, 40), draw.randint(101, 199)
            add(f"{name} has {b} {goods} and gives {a} of them to {other}. How many are left?", f"{b} − {a} = {b - a}, so {b - a} {goods} are left.")
        elif kind == 2:
            words = draw.sample(sorted(OPPOSITES), 4)
            add(f"Sort these words from A to Z: {', '.join(words)}.", ", ".join(sorted(words)))
        elif kind == 3:
            word = draw.choice(sorted(DEFINITIONS)).split()[-1]
            add(f"How many letters has the word “{word}”?", f"The word “{word}” has {len(word)} letters.")
        elif kind == 4:
            country, capital = draw.choice(sorted(CAPITALS.items()))
            wrong = draw.choice([c for c in sorted(CAPITALS.values()) if c != capital])
            if draw.random() < 0.5:
                add(f"Is {wrong} the capital of {country}?", f"No, the capital of {country} is {capital}.")
            else:
                add(f"Is {capital} the capital of {country}?", f"Yes, {capital} is the capital of {country}.")
        else:
            add(f"Write one friendly sentence to {name} about {goods}.",
                draw.choice([f"Dear {name}, thank you for the {goods}; they made my day.", f"{name}, I found some lovely {goods} and thought of you.",
                             f"Hello {name}, shall we share the {goods} on Sunday?"]), "Answer in one sentence.")
    unique = list({json.dumps(row, ensure_ascii=False): row for row in rows}.values())
    draw.shuffle(unique)
    return unique


(HERE / "calibration.txt").write_text(calibration_text(), encoding="utf-8")
with open(HERE / "recovery-chat.jsonl", "w", encoding="utf-8") as out:
    for row in chats():
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
