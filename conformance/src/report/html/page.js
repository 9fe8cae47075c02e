// Comfort only: the filter, opening what a link leads to, and what failed unfolded on paper. Without it everything is there, unfiltered.
(function () {
  "use strict";
  var form = document.getElementById("filter");
  if (form) {
    var words = document.getElementById("words");
    var shown = document.getElementById("shown");
    var rows = Array.prototype.slice.call(document.querySelectorAll("#matrix tr[data-of]"));
    var told = Array.prototype.slice.call(document.querySelectorAll("details[data-of]"));
    var texts = new Map(rows.map(function (row) { return [row, row.textContent.toLowerCase()]; }));
    told.forEach(function (one) { texts.set(one, one.querySelector(".sentence, summary").textContent.toLowerCase()); });
    var filter = function () {
      var wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      var only = form.elements.only.value;
      var of = new Map(told.map(function (one) { return [one.dataset.of, one]; }));
      var count = 0;
      rows.forEach(function (row) {
        var one = of.get(row.dataset.of);
        var text = texts.get(row) + " " + (one ? texts.get(one) : "");
        var is = row.dataset.is.split(" ");
        var fits = (only === "all" || is.indexOf(only) >= 0) &&
          wanted.every(function (word) { return text.indexOf(word) >= 0; });
        row.hidden = !fits;
        if (one) one.hidden = !fits;
        if (fits) count += 1;
      });
      document.querySelectorAll("#matrix tbody, #requirements .group").forEach(function (group) {
        group.hidden = !group.querySelector("[data-of]:not([hidden])");
      });
      shown.textContent = count + " of " + rows.length + " requirements are shown.";
    };
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    filter();
  }
  var open = function () {
    var id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch (error) { return; }
    var place = id && document.getElementById(id);
    if (!place) return;
    for (var at = place; at; at = at.parentElement) {
      if (at.hidden) at.hidden = false;
      if (at.tagName === "DETAILS") at.open = true;
    }
    place.scrollIntoView();
  };
  // For browsers whose style can't unfold what failed on paper.
  var folded = [];
  addEventListener("beforeprint", function () {
    folded = Array.prototype.slice.call(document.querySelectorAll("details.tell:not([open])"));
    folded.forEach(function (one) { one.open = true; });
  });
  addEventListener("afterprint", function () {
    folded.forEach(function (one) { one.open = false; });
    folded = [];
  });
  addEventListener("hashchange", open);
  open();
})();
