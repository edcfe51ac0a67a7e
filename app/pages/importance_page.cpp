#include "app/pages/importance_page.h"

#include "app/controllers/export_controller.h"
#include "app/controls/option_bar.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "backend/workflow/bundled_models.h"
#include "widgets/charts/profile_chart.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/empty_state.h"
#include "widgets/controls/read_out.h"
#include "widgets/controls/segmented_control.h"
#include "widgets/heatmap/heatmap_image.h"
#include "widgets/heatmap/heatmap_panel.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QBuffer>
#include <QComboBox>
#include <QFile>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QStackedWidget>
#include <QTemporaryDir>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <array>
#include <utility>

namespace secateur {

namespace {

QString groupName(const std::string &group)
{
    static constexpr std::array<std::pair<const char *, const char *>, 5> kGroups = {{
        {"block_cosine", QT_TRANSLATE_NOOP("Maps", "Block cosine")},
        {"block_distance", QT_TRANSLATE_NOOP("Maps", "Start × length")},
        {"block_influence", QT_TRANSLATE_NOOP("Maps", "Block influence")},
        {"head_importance", QT_TRANSLATE_NOOP("Maps", "Layer × KV group")},
        {"ffn_importance", QT_TRANSLATE_NOOP("Maps", "Layer × FFN channel")},
    }};
    for (const auto &[id, name] : kGroups) {
        if (group == id)
            return QCoreApplication::translate("Maps", name);
    }
    return qString(group);
}

QString metricTitle(const std::string &metric)
{
    static constexpr std::array<std::pair<const char *, const char *>, 5> kMetrics = {{
        {"cosine", QT_TRANSLATE_NOOP("Maps", "Mean cosine")},
        {"influence", QT_TRANSLATE_NOOP("Maps", "Influence")},
        {"distance", QT_TRANSLATE_NOOP("Maps", "Angular distance")},
        {"weight_magnitude", QT_TRANSLATE_NOOP("Maps", "Weight magnitude")},
        {"activation_weight", QT_TRANSLATE_NOOP("Maps", "Activation × weight")},
    }};
    for (const auto &[id, name] : kMetrics) {
        if (metric == id)
            return QCoreApplication::translate("Maps", name);
    }
    return qString(metric);
}

std::set<int> blocksOf(const UnitSet &units)
{
    std::set<int> blocks = units.blocks;
    for (const auto &[block, groups] : units.kvGroups)
        blocks.insert(block);
    for (const auto &[block, channels] : units.ffnChannels)
        blocks.insert(block);
    return blocks;
}

/// Segments in the order of TwinMode.
SegmentedControl *makeTwinControl(QWidget *parent)
{
    auto *control = new SegmentedControl(parent);
    control->addSegment(u"off"_qs, ImportancePage::tr("Off"));
    control->addSegment(u"side"_qs, ImportancePage::tr("Side"));
    control->addSegment(u"diff"_qs, ImportancePage::tr("Diff"));
    control->setToolTip(ImportancePage::tr("The sibling's map beside this one, or the difference of both"));
    return control;
}

} // namespace

ImportancePage::ImportancePage(Workspace *workspace, ExportController *exporter, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_exporter(exporter),
      m_options(new OptionBar(this)),
      m_stack(new QStackedWidget(this)),
      m_empty(new EmptyState(m_stack)),
      m_map(new QComboBox(m_options)),
      m_metric(new QComboBox(m_options)),
      m_twin(makeTwinControl(m_options)), // made in the order in which Tab walks
      m_openTwin(new QPushButton(m_options)),
      m_scale(new QComboBox(m_options)),
      m_maps(new TwinPanel(this)),
      m_panel(m_maps->panel()),
      m_readOut(new ReadOut(this)),
      m_profile(new ProfileChart(this))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    outer->addWidget(m_options);
    m_map->setMinimumContentsLength(16);
    m_metric->setMinimumContentsLength(14);
    m_options->addField(tr("Map"), m_map);
    m_options->addField(tr("Metric"), m_metric);
    m_scale->addItem(tr("Linear"), int(ColorScale::Scaling::Linear));
    m_scale->addItem(tr("Log"), int(ColorScale::Scaling::Log));
    m_scale->addItem(tr("Percentile"), int(ColorScale::Scaling::Percentile));
    m_scale->setToolTip(tr("How values become colours; the values themselves and exported data stay as they are"));
    m_options->addField(tr("Twin"), m_twin, true);
    m_openTwin->setText(tr("Open sibling…"));
    m_openTwin->setToolTip(tr("Open the sibling model, its session or its maps to compare"));
    m_options->addWidget(m_openTwin);
    m_options->addField(tr("Scale"), m_scale);
    m_options->addStretch();
    connect(m_options->addHelp(), &QToolButton::clicked, this, &ImportancePage::helpRequested);

    m_empty->setContent(u"calibrate"_qs, tr("No map yet"),
                        tr("One sweep over a calibration set is needed:\n16 × 256 tokens of the bundled text."));
    m_empty->setPrimary(tr("Calibrate…"));
    m_empty->setAlternative(tr("Open maps…"));
    connect(m_empty, &EmptyState::primaryClicked, this, &ImportancePage::calibrateRequested);
    connect(m_empty, &EmptyState::alternativeClicked, this, &ImportancePage::openMapsRequested);
    m_stack->addWidget(m_empty);

    auto *top = new QSplitter(Qt::Horizontal, m_stack);
    top->addWidget(m_maps);
    top->addWidget(makeSide());
    top->setStretchFactor(0, 3);
    top->setStretchFactor(1, 2);
    top->setCollapsible(0, false);
    top->setHandleWidth(1);
    top->setSizes({540, 360});
    auto *whole = new QSplitter(Qt::Vertical, m_stack);
    whole->addWidget(top);
    whole->addWidget(m_profile);
    whole->setStretchFactor(0, 3);
    whole->setStretchFactor(1, 1);
    whole->setCollapsible(0, false);
    whole->setHandleWidth(1);
    whole->setSizes({470, 165});
    m_stack->addWidget(whole);
    outer->addWidget(m_stack, 1);

    HeatmapView *view = m_panel->view();
    m_maps->setSelection(workspace->selection());
    m_profile->setSelection(workspace->selection());
    m_readOut->setView(view);
    connect(view, &HeatmapView::thresholdRequested, m_profile, &ProfileChart::focusThreshold);
    for (HeatmapPanel *panel : {m_panel, m_maps->otherPanel()}) {
        connect(panel->view(), &HeatmapView::nextMapRequested, this, &ImportancePage::nextMap);
        connect(panel->view(), &HeatmapView::exportRequested, this,
                [this, panel](ExportKind kind) { exportView(int(kind), *panel); });
    }
    connect(view, &HeatmapView::cellHovered, this, [this](const HeatmapCell &cell) {
        const MetricMapPtr map = m_panel->view()->map();
        m_profile->setLinkedBlocks(map && cell.isValid() ? blocksOf(unitsOfCell(*map, cell)) : std::set<int>());
    });
    connect(m_profile, &ProfileChart::blockHovered, this, [this](int block) {
        m_workspace->selection()->setHighlighted(block < 0 ? UnitSet() : blockUnits({block}));
    });

    connect(m_map, &QComboBox::currentIndexChanged, this, &ImportancePage::fillMetrics);
    connect(m_metric, &QComboBox::currentIndexChanged, this, &ImportancePage::showMap);
    connect(m_scale, &QComboBox::currentIndexChanged, this, &ImportancePage::showScale);
    connect(m_twin, &SegmentedControl::currentChanged, this, [this](const QString &id) {
        m_workspace->setView("twin", id.toStdString());
        showMap();
        showProfile();
    });
    connect(m_openTwin, &QPushButton::clicked, this, [this] { Q_EMIT twinRequested({}); });
    connect(m_maps, &TwinPanel::differenceChanged, this, [this] { Q_EMIT currentMapChanged(m_panel->view()->map()); });
    connect(workspace, &Workspace::documentChanged, this, &ImportancePage::fillMaps);
    connect(workspace, &Workspace::analysisChanged, this, &ImportancePage::fillMaps);
    connect(workspace->selection(), &PruneSelection::changed, this, &ImportancePage::showSelection);
    fillMaps();
}

QWidget *ImportancePage::makeSide()
{
    auto *side = new QWidget(this);
    auto *layout = new QVBoxLayout(side);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_readOut);
    auto *actions = new QWidget(side);
    auto *row = new QVBoxLayout(actions);
    row->setContentsMargins(8, 12, 8, 8);
    row->setSpacing(8);
    m_headline = new QLabel(actions);
    m_headline->setWordWrap(true);
    m_makePlan = new QPushButton(tr("Make plan…"), actions);
    m_makePlan->setProperty("primary", true);
    connect(m_makePlan, &QPushButton::clicked, this, &ImportancePage::makePlanRequested);
    row->addWidget(m_headline);
    row->addWidget(m_makePlan, 0, Qt::AlignLeft);
    layout->addWidget(actions);
    auto *statement = new QHBoxLayout;
    statement->setContentsMargins(8, 4, 8, 8);
    statement->addWidget(m_maps->statement());
    layout->addLayout(statement);
    layout->addStretch(1);
    auto *area = new QScrollArea(this);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    area->setWidget(side);
    area->setMinimumWidth(240);
    showSelection();
    return area;
}

bool ImportancePage::showsMaps() const
{
    return m_stack->currentIndex() == 1;
}

MetricMapPtr ImportancePage::currentMap() const
{
    const auto analysis = m_workspace->analysis();
    if (!analysis)
        return nullptr;
    return analysis->find(m_map->currentData().toString().toStdString(),
                          m_metric->currentData().toString().toStdString());
}

void ImportancePage::setCalibrationReason(const QString &reason)
{
    m_empty->primaryButton()->setEnabled(reason.isEmpty());
    m_empty->primaryButton()->setToolTip(reason);
}

void ImportancePage::fillMaps()
{
    const auto analysis = m_workspace->analysis();
    const bool hasMaps = analysis && !analysis->maps.empty();
    m_stack->setCurrentIndex(hasMaps ? 1 : 0);
    setFocusProxy(hasMaps ? static_cast<QWidget *>(m_panel->view()) : m_empty->primaryButton());
    m_map->setEnabled(hasMaps);
    m_metric->setEnabled(hasMaps);
    m_scale->setEnabled(hasMaps);
    const QSignalBlocker blocker(m_map);
    const QString wanted = m_map->count() > 0 ? m_map->currentData().toString() : qString(m_workspace->view("map"));
    m_map->clear();
    if (hasMaps) {
        for (const MetricMapPtr &map : analysis->maps) {
            if (m_map->findData(qString(map->group)) < 0)
                m_map->addItem(groupName(map->group), qString(map->group));
        }
        const int cosine = qMax(0, m_map->findData(u"block_cosine"_qs));
        const int index = m_map->findData(wanted);
        m_map->setCurrentIndex(index < 0 ? cosine : index);
    }
    fillTwin();
    showProfile();
    fillMetrics();
}

void ImportancePage::fillMetrics()
{
    {
        const QSignalBlocker blocker(m_metric);
        const QString wanted = m_metric->currentData().toString();
        m_metric->clear();
        if (const auto analysis = m_workspace->analysis()) {
            const std::string group = m_map->currentData().toString().toStdString();
            for (const MetricMapPtr &map : analysis->maps) {
                if (map->group == group)
                    m_metric->addItem(metricTitle(map->metric), qString(map->metric));
            }
            const int preferred = qMax(0, m_metric->findData(u"activation_weight"_qs));
            const int index = m_metric->findData(wanted);
            m_metric->setCurrentIndex(index < 0 ? preferred : index);
        }
    }
    showMap();
}

void ImportancePage::showMap()
{
    const MetricMapPtr map = currentMap();
    if (map) {
        m_workspace->setView("map", map->group);
        m_workspace->setView("metric", map->metric);
    }
    showMaps(map);
    showScale();
    // A map without one score per unit leaves the threshold with the profile's own blocks.
    m_profile->setThresholdMap(map && scoresUnits(mapKind(*map)) ? map : nullptr);
    Q_EMIT currentMapChanged(map);
}

MetricMapPtr ImportancePage::twinMap(const MetricMapPtr &own) const
{
    const auto twin = m_workspace->twin();
    const MetricMapPtr map = own && twin ? twin->find(own->group, own->metric) : nullptr;
    return map && map->rows == own->rows && map->columns == own->columns ? map : nullptr;
}

void ImportancePage::fillTwin()
{
    const bool hasTwin = m_workspace->twin() != nullptr;
    for (const QString &id : {u"side"_qs, u"diff"_qs})
        m_twin->setSegmentEnabled(id, hasTwin, hasTwin ? QString() : tr("Open the sibling model to compare"));
    m_openTwin->setVisible(m_workspace->analysis() != nullptr && !hasTwin);
    delete m_openTwin->menu();
    for (const workflow::BundledModel &model : workflow::bundledModels()) {
        if (!model.sibling || m_workspace->session().model.alias != model.name)
            continue;
        // The program brings the sibling of this one; another can be chosen all the same.
        auto *menu = new QMenu(m_openTwin);
        const QString sibling = QString::fromLatin1(model.sibling);
        menu->addAction(sibling.section(u':', 1), this, [this, sibling] { Q_EMIT twinRequested(sibling); });
        menu->addAction(tr("Another…"), this, [this] { Q_EMIT twinRequested({}); });
        m_openTwin->setMenu(menu);
    }
    m_twin->setEnabled(hasTwin);
    const QSignalBlocker blocker(m_twin);
    const QString wanted = qString(m_workspace->view("twin"));
    m_twin->setCurrentId(hasTwin && m_twin->ids().contains(wanted) ? wanted : u"off"_qs);
}

TwinMode ImportancePage::twinMode() const
{
    return TwinMode(m_twin->ids().indexOf(m_twin->currentId()));
}

void ImportancePage::showTwin(TwinMode mode)
{
    m_twin->setCurrentId(m_twin->ids().at(int(m_workspace->twin() ? mode : TwinMode::Off)));
}

void ImportancePage::showMaps(const MetricMapPtr &own)
{
    const auto side = [this](const AnalysisResult &analysis, const QString &name, const MetricMapPtr &map) {
        const CalibrationRecord &calibration = analysis.calibration;
        return TwinPanel::Side{name,
                               calibration.length > 0
                                   ? tr("%1 × %2 tokens").arg(calibration.sequences).arg(calibration.length)
                                   : tr("%n sample(s)", nullptr, static_cast<int>(calibration.sequences)),
                               map};
    };
    if (!own) {
        m_maps->showOne({});
        return;
    }
    const TwinPanel::Side mine = side(*m_workspace->analysis(), qString(m_workspace->session().model.alias), own);
    const MetricMapPtr other = twinMode() == TwinMode::Off ? nullptr : twinMap(own);
    if (!other) {
        m_maps->showOne(mine);
        return;
    }
    const AnalysisResult &twin = *m_workspace->twin();
    const TwinPanel::Side its = side(twin, qString(twin.modelName), other);
    if (twinMode() == TwinMode::Side) {
        m_maps->showSides(mine, its);
        return;
    }
    const MetricMapPtr influence = m_workspace->analysis()->find("block_influence");
    const MetricMapPtr twinInfluence = twinMap(influence);
    if (twinIsFirst())
        m_maps->showDifference(its, mine, twinInfluence, influence);
    else
        m_maps->showDifference(mine, its, influence, twinInfluence);
}

/// The difference is think − instruct; of two models of one kind it is the open one − the sibling.
bool ImportancePage::twinIsFirst() const
{
    return m_workspace->twin() && m_workspace->modelKind() != u"think"
        && Workspace::isThinkName(qString(m_workspace->twin()->modelName));
}

void ImportancePage::showProfile()
{
    const auto analysis = m_workspace->analysis();
    const MetricMapPtr influence = analysis ? analysis->find("block_influence") : nullptr;
    m_profile->setMap(influence);
    const MetricMapPtr other = twinMode() == TwinMode::Off ? nullptr : twinMap(influence);
    if (!other) {
        m_profile->setTitle(tr("Block influence"), tr("1 − mean cosine of block input and output"));
        return;
    }
    const QString name = qString(m_workspace->session().model.alias);
    const QString twinName = qString(m_workspace->twin()->modelName);
    const auto kind = [](bool thinks) { return thinks ? ProfileSeries::Kind::Think : ProfileSeries::Kind::Instruct; };
    const bool thinks = m_workspace->modelKind() == u"think";
    const bool twinThinks = Workspace::isThinkName(twinName);
    // The line of the open model comes first: it carries selection and threshold.
    m_profile->setSeries(
        {{name, influence->values, kind(thinks)},
         {twinName, other->values, twinThinks == thinks ? ProfileSeries::Kind::Plain : kind(twinThinks)}},
        metricName(*influence));
    m_profile->setTitle(
        tr("Block influence"),
        tr("numbers above: %1 − %2").arg(twinIsFirst() ? twinName : name, twinIsFirst() ? name : twinName));
}

void ImportancePage::showScale()
{
    m_maps->setScaling(ColorScale::Scaling(m_scale->currentData().toInt()));
}

void ImportancePage::showSelection()
{
    const PruneSelection *selection = m_workspace->selection();
    const bool any = !selection->selected().empty();
    m_headline->setText(any ? selection->headline()
                            : tr("Drag on the map, click the block strip, or set a threshold."));
    setSecondary(m_headline, !any);
    m_makePlan->setEnabled(any);
    m_makePlan->setToolTip(any ? tr("Plan the removal of the selected units (Ctrl+Return)")
                               : tr("<b>Make plan… is off</b><br>Nothing is selected.<br>Select units first."));
}

QString ImportancePage::statusText() const
{
    const MetricMapPtr map = currentMap();
    return map ? m_panel->titleText() : QString();
}

void ImportancePage::nextMap()
{
    if (m_map->count() > 0)
        m_map->setCurrentIndex((m_map->currentIndex() + 1) % m_map->count());
}

void ImportancePage::exportPicture()
{
    exportView(int(ExportKind::Svg), *m_panel);
}

void ImportancePage::exportData()
{
    exportView(int(ExportKind::Csv), *m_panel);
}

void ImportancePage::exportView(int number, const HeatmapPanel &panel)
{
    const auto kind = ExportKind(number);
    const MetricMapPtr map = panel.view()->map();
    if (!map)
        return;
    const QString stem
        = m_workspace->name() + u"-"_qs + qString(map->group) + (isSignedMap(*map) ? u"-difference"_qs : QString());
    if (kind == ExportKind::Csv) {
        m_exporter->saveBytes(tr("Export data"), stem + u".csv"_qs, tr("Comma-separated values (*.csv)"),
                              panel.view()->toCsv());
        return;
    }
    const QString suffix = kind == ExportKind::Png ? u"png"_qs : kind == ExportKind::Svg ? u"svg"_qs : u"pdf"_qs;
    // Painting needs the GUI thread; the bytes then travel to the file on the compute thread like any other export.
    const QTemporaryDir scratch;
    const QString file = scratch.filePath(u"picture."_qs + suffix);
    try {
        exportHeatmap(*panel.view(), file, kind, panel.titleText());
    } catch (const Error &error) {
        Q_EMIT exportFailed(qString(error.info().message));
        return;
    }
    QFile picture(file);
    if (picture.open(QIODevice::ReadOnly))
        m_exporter->saveBytes(tr("Export picture"), stem + u"."_qs + suffix,
                              tr("%1 picture (*.%2)").arg(suffix.toUpper(), suffix), picture.readAll());
}

QByteArray mapThumbnail(const MetricMapPtr &map)
{
    if (!map || map->rows < 2 || map->columns < 2)
        return {};
    const ColorScale scale = ColorScale::forMap(*map);
    QImage image
        = heatmapImage(MapPyramid(map), scale,
                       {.source = QRectF(0, 0, static_cast<double>(map->columns), static_cast<double>(map->rows)),
                        .size = QSize(96, 72),
                        .center = scale.low()});
    QByteArray png;
    QBuffer buffer(&png);
    buffer.open(QIODevice::WriteOnly);
    return image.save(&buffer, "PNG") ? png : QByteArray();
}

} // namespace secateur
