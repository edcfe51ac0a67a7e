#!/usr/bin/env python3
"""Makes demo-choice.jsonl and demo-arithmetic.jsonl beside this file. Plain python3; run it to make them again.

The choice items are written by hand below, the fitting option first; which of the two comes first in the file is drawn.
The arithmetic items are drawn from sentence patterns. Both are demonstrations of the program, not a benchmark.
"""
import json
import pathlib
import random

SEED = 4711
HERE = pathlib.Path(__file__).parent

# goal, fitting option, option that does not work
CHOICES = [
    ("To keep soup warm on the way to work,", "pour it into a vacuum flask and close the lid.", "pour it into a paper bag and fold the top."),
    ("To find out whether an egg is boiled or raw,", "spin it on the table and see if it turns smoothly.", "paint it blue and wait for the paint to dry."),
    ("To stop a door from squeaking,", "put a drop of oil on its hinges.", "put a drop of oil on its keyhole cover."),
    ("To dry wet shoes overnight,", "stuff them with crumpled newspaper.", "stuff them with damp towels."),
    ("To get a splinter out of a finger,", "use tweezers and pull along its direction.", "use a hammer and tap along its direction."),
    ("To carry water from the well,", "use a bucket without holes.", "use a basket made of wire."),
    ("To cut a straight line on cardboard,", "guide the knife along a metal ruler.", "guide the knife along a rubber band."),
    ("To make ice at home,", "fill a tray with water and leave it in the freezer.", "fill a tray with water and leave it on the stove."),
    ("To light a dark cellar during a power cut,", "switch on a torch with charged batteries.", "switch on the ceiling lamp twice."),
    ("To keep a balloon from flying away,", "tie its string to a chair.", "tie its string to another balloon."),
    ("To read small print more easily,", "hold a magnifying glass over it.", "hold a frosted glass over it."),
    ("To remove a tight jar lid,", "hold it under hot water and twist it.", "hold it over the bin and shake it."),
    ("To hang a picture straight,", "check its upper edge with a spirit level.", "check its upper edge with a thermometer."),
    ("To cross a busy street safely,", "wait for the green light and look both ways.", "wait for the red light and close both eyes."),
    ("To separate sand from gravel,", "shake the mixture through a sieve.", "shake the mixture in a closed bottle."),
    ("To keep bread from going stale,", "store it in a closed bread box.", "store it on a sunny window sill."),
    ("To know which way is north on a cloudy day,", "look at the needle of a compass.", "look at the hands of a watch."),
    ("To sharpen a pencil,", "turn it in a sharpener until the tip is thin.", "turn it in an eraser until the tip is gone."),
    ("To water plants during a long holiday,", "ask a neighbour to come every few days.", "ask a neighbour to lock the door every few days."),
    ("To fold a shirt without creases,", "lay it flat and smooth the sleeves first.", "roll it into a ball and sit on it first."),
    ("To measure half a litre of milk,", "pour it into a jug with marks on the side.", "pour it onto a scale without a bowl."),
    ("To see a tiny insect's legs,", "put it under a microscope.", "put it under a pillow."),
    ("To cool down on a hot afternoon,", "sit in the shade and drink cold water.", "sit in the sun and put on a coat."),
    ("To keep papers together in order,", "fasten them with a paper clip at the corner.", "scatter them on the desk near the fan."),
    ("To reach a book on the highest shelf,", "stand on a firm step ladder.", "stand on a pile of loose cushions."),
    ("To stop a bicycle on a hill,", "squeeze both brakes gently.", "ring the bell gently."),
    ("To tell salt from sugar in unmarked jars,", "taste a tiny pinch of each.", "weigh the two lids on a scale."),
    ("To join two boards firmly,", "drive screws through both of them.", "lay a ribbon on top of both of them."),
    ("To fill a tyre that has gone soft,", "press air into it with a pump.", "press water out of it with a sponge."),
    ("To clean a chalkboard,", "wipe it with a damp cloth.", "wipe it with a stick of chalk."),
    ("To keep a tent from blowing away,", "hammer pegs into the ground at its corners.", "hang lanterns from the ceiling at its corners."),
    ("To warn other drivers after a breakdown,", "set up the red triangle behind the car.", "set up the red triangle inside the boot."),
    ("To peel a boiled potato without burning your fingers,", "let it cool in cold water first.", "let it sit in boiling oil first."),
    ("To find a fallen needle on the carpet,", "move a magnet slowly over the floor.", "move a feather slowly over the floor."),
    ("To hear a distant bird more clearly,", "stand still and cup a hand behind your ear.", "stamp your feet and cup a hand over your ear."),
    ("To keep ants away from the sugar,", "store it in a jar with a tight lid.", "store it on a plate near the door."),
    ("To learn how hot it is outside,", "read the thermometer at the window.", "read the calendar at the window."),
    ("To stop a small cut from bleeding,", "press a clean bandage on it.", "press a clean envelope on the table."),
    ("To plant a tulip bulb,", "bury it in soil with the tip pointing up.", "bury it in gravel with the lights switched off."),
    ("To send a letter abroad,", "write the country under the address and add stamps.", "write the recipe under the address and add salt."),
]

NAMES = ["Ada", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jill", "Kim", "Leo", "Mia", "Noah", "Olga", "Pia"]
THINGS = ["apples", "marbles", "shells", "coins", "cards", "buttons", "pears", "books", "beads", "stickers"]


def arithmetic(draw: random.Random, kind: int) -> tuple[str, int]:
    """One question with its answer; the answer is never negative."""
    name, other = draw.sample(NAMES, 2)
    thing = draw.choice(THINGS)
    if kind == 0:
        a, b = draw.randint(12, 89), draw.randint(11, 79)
        return f"What is {a} + {b}?", a + b
    if kind == 1:
        a, b = draw.randint(50, 99), draw.randint(11, 49)
        return f"What is {a} - {b}?", a - b
    if kind == 2:
        a, b = draw.randint(3, 12), draw.randint(3, 12)
        return f"What is {a} times {b}?", a * b
    if kind == 3:
        b, c = draw.randint(2, 12), draw.randint(3, 15)
        return f"What is {b * c} divided by {b}?", c
    if kind == 4:
        a, b, c = draw.randint(10, 40), draw.randint(5, 30), draw.randint(2, 9)
        return f"{name} has {a} {thing} and finds {b} more. Then {name} gives {c} to {other}. How many {thing} does {name} have now?", a + b - c
    if kind == 5:
        boxes, each, lost = draw.randint(3, 9), draw.randint(4, 12), draw.randint(2, 10)
        return f"{name} fills {boxes} boxes with {each} {thing} each and loses {lost} {thing}. How many {thing} are left?", boxes * each - lost
    if kind == 6:
        people, each = draw.randint(2, 8), draw.randint(3, 12)
        return f"{name} shares {people * each} {thing} equally among {people} friends. How many {thing} does each friend get?", each
    if kind == 7:
        price, count, paid = draw.randint(2, 9), draw.randint(2, 6), draw.choice([60, 70, 80])
        return f"One ticket costs {price} dollars. {name} buys {count} tickets and pays with {paid} dollars. How many dollars does {name} get back?", paid - price * count
    if kind == 8:
        start, minutes = draw.randint(5, 25), draw.randint(10, 34)
        return f"A bus leaves {start} minutes after nine and arrives {minutes} minutes later. How many minutes after nine does it arrive?", start + minutes
    half, extra = draw.randint(6, 30), draw.randint(2, 15)
    return f"{name} has {2 * half} {thing}. {other} has half as many and {extra} more. How many {thing} does {other} have?", half + extra


def main() -> None:
    draw = random.Random(SEED)
    with open(HERE / "demo-choice.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for goal, right, wrong in CHOICES:
            answer = draw.randrange(2)
            options = [right, wrong] if answer == 0 else [wrong, right]
            file.write(json.dumps({"goal": goal, "options": options, "answer": answer}, ensure_ascii=False) + "\n")
    seen = set()
    with open(HERE / "demo-arithmetic.jsonl", "w", encoding="utf-8", newline="\n") as file:
        while len(seen) < 60:
            question, answer = arithmetic(draw, len(seen) % 10)
            if question not in seen:
                seen.add(question)
                file.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
