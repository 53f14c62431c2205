// How results of the search are ordered: chapters before pages about them, and words in titles and
// headings before words in the text. The reference of the package comes last.
var Scorer = {
  score: ([docname, title, anchor, descr, score]) => {
    if (docname.startsWith("api/")) return score - 40;
    if (docname.startsWith("ledger")) return score - 20;
    return docname.startsWith("notebooks/") ? score + 5 : score;
  },
  objNameMatch: 8,
  objPartialMatch: 4,
  objPrio: { 0: 5, 1: 0, 2: -5 },
  objPrioDefault: 0,
  title: 25,
  partialTitle: 15,
  term: 4,
  partialTerm: 1,
};
