"""What tests read off a figure."""


def curves(axes):
    """{label: (x, y)} of the lines in a panel, as lists."""
    drawn = {line.get_label(): line for line in axes.lines}
    return {k: (list(line.get_xdata()), list(line.get_ydata())) for k, line in drawn.items()}


def words(texts):
    """The words of a legend, of tick labels or of what else is written."""
    return [text.get_text() for text in texts]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.axison]
