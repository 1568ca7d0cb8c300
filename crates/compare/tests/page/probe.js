// Looks at the page from inside, for the test that drives a browser. Each function answers with what is wrong.
const probe = (() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const shown = element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  };
  const png = element => {
    const found = /^url\("(data:image\/png;base64,[^"]+)"\)$/.exec(getComputedStyle(element).backgroundImage);
    return found && found[1];
  };
  const maps = () => all("svg").filter(one => one.querySelector("[data-item]"));
  const tip = () => document.getElementById("tip");

  // What a screen reader finds, and every drawing and small picture.
  const look = async () => {
    const faults = [];
    const fault = text => faults.push(text);
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) fault("the page is " + wide + " pixels wider than the screen");
    all("details").forEach(one => { one.open = true; });

    for (const figure of all("figure")) {
      if (figure.firstElementChild.tagName !== "FIGCAPTION" || !figure.textContent.trim()) fault("a figure without caption");
    }
    for (const section of all("main > section")) {
      const name = section.getAttribute("aria-labelledby");
      if (name ? !document.getElementById(name) : !section.getAttribute("aria-label")) fault("a section without name");
    }
    if (all("th").some(cell => !cell.scope)) fault("a heading of a table without scope");
    for (const picture of all("[role=img], svg")) {
      const names = (picture.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean);
      const named = names.length > 0 && names.every(id => document.getElementById(id)?.textContent);
      if (!named && !picture.getAttribute("aria-label")) fault("a picture without words: " + picture.outerHTML.slice(0, 80));
    }
    for (const link of all("a")) {
      if (!document.getElementById(link.getAttribute("href").slice(1))) fault("a link to nowhere: " + link.textContent);
    }

    for (const drawing of all("svg")) {
      if (!shown(drawing) || !drawing.children.length) fault("an empty drawing: " + drawing.getAttribute("aria-label"));
    }
    const urls = new Set();
    for (const thumb of all(".gallery .thumb")) {
      const url = png(thumb);
      if (url && shown(thumb)) urls.add(url);
      else fault("a query or neighbour without picture: " + thumb.className);
    }
    for (const url of urls) {
      const image = new Image();
      image.src = url;
      await image.decode();
      if (image.naturalWidth === 0) fault("a picture without width");
    }
    return { faults, drawings: all("svg").length, pictures: urls.size, maps: maps().length };
  };

  // A place where the pointer meets a mark of this map, and that mark.
  let mark = null;
  const aim = async number => {
    const map = maps()[number];
    map.scrollIntoView({ block: "center", behavior: "instant" });
    // The event of the scroll comes with the next frame, and hides the tip.
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    // Whole pixels: between two, the pointer may meet another mark than the one that `elementFromPoint` tells.
    const middle = one => {
      const box = one.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2].map(Math.round);
    };
    mark = all("[data-item]", map).find(one => document.elementFromPoint(...middle(one)) === one);
    return middle(mark);
  };

  // With the pointer on that mark: its class, its picture, and the same item in the other maps.
  const pointed = () => {
    const faults = [];
    const { item, name } = mark.dataset, picture = tip().querySelector("span"), box = tip().getBoundingClientRect();
    if (tip().hidden || !shown(tip())) return ["no tip"];
    if (tip().querySelector("b").textContent !== name) faults.push("the tip of another class");
    // Sets of rows have no pictures; others have one for every item here.
    const rule = [...document.styleSheets[0].cssRules].some(one => one.selectorText?.startsWith(".t" + item.split("-")[0] + "-"));
    if (rule && !(png(picture) && shown(picture))) faults.push("a tip without picture");
    if (!rule && shown(picture)) faults.push("an empty picture");
    if (box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight) faults.push("a tip off the screen");
    const same = all(".same"), expected = all('[data-item="' + item + '"]');
    if (expected.length < 2 || same.length !== expected.length) faults.push(same.length + " of " + expected.length + " marks");
    return faults;
  };

  // With the pointer elsewhere.
  const left = () => tip().hidden && !all(".same").length ? [] : ["the tip stays"];

  // Tables that printing would leave out, as they are folded away.
  const folded = () => {
    all("details").forEach(one => { one.open = false; });
    return all("details table").filter(one => !one.checkVisibility()).length;
  };

  return { look, aim, pointed, left, folded };
})();
