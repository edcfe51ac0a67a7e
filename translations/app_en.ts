<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US">
<context>
    <name>Commands</name>
    <message numerus="yes">
        <source>%n block(s)</source>
        <translation>
            <numerusform>%n block</numerusform>
            <numerusform>%n blocks</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n KV group(s)</source>
        <translation>
            <numerusform>%n KV group</numerusform>
            <numerusform>%n KV groups</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n channel(s)</source>
        <translation>
            <numerusform>%n channel</numerusform>
            <numerusform>%n channels</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::ComparePage</name>
    <message numerus="yes">
        <source>%n model(s)</source>
        <translation>
            <numerusform>%n model</numerusform>
            <numerusform>%n models</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::DialogPrompts</name>
    <message numerus="yes">
        <source>%n step(s) since the last save.</source>
        <translation>
            <numerusform>%n step since the last save.</numerusform>
            <numerusform>%n steps since the last save.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::DocumentController</name>
    <message numerus="yes">
        <source>session · %n plan(s)</source>
        <translation>
            <numerusform>session · %n plan</numerusform>
            <numerusform>session · %n plans</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n block(s)</source>
        <translation>
            <numerusform>%n block</numerusform>
            <numerusform>%n blocks</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::EvalController</name>
    <message numerus="yes">
        <source>Evaluate, %n task(s)</source>
        <translation>
            <numerusform>Evaluate, %n task</numerusform>
            <numerusform>Evaluate, %n tasks</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%1, %n task(s)</source>
        <translation>
            <numerusform>%1, %n task</numerusform>
            <numerusform>%1, %n tasks</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::EvaluateDialog</name>
    <message numerus="yes">
        <source>With %n item(s) per task the 95 % interval is wide; small differences cannot be told from chance.</source>
        <translation>
            <numerusform>With %n item per task the 95 % interval is wide; small differences cannot be told from chance.</numerusform>
            <numerusform>With %n items per task the 95 % interval is wide; small differences cannot be told from chance.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::ImportancePage</name>
    <message numerus="yes">
        <source>%n sample(s)</source>
        <translation>
            <numerusform>%n sample</numerusform>
            <numerusform>%n samples</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::MainWindow</name>
    <message numerus="yes">
        <source>%n job(s) waiting</source>
        <translation>
            <numerusform>%n job waiting</numerusform>
            <numerusform>%n jobs waiting</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::PruningController</name>
    <message numerus="yes">
        <source>%n block(s)</source>
        <translation>
            <numerusform>%n block</numerusform>
            <numerusform>%n blocks</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n KV group(s)</source>
        <translation>
            <numerusform>%n KV group</numerusform>
            <numerusform>%n KV groups</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n channel(s)</source>
        <translation>
            <numerusform>%n channel</numerusform>
            <numerusform>%n channels</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n check(s) held</source>
        <translation>
            <numerusform>%n check held</numerusform>
            <numerusform>%n checks held</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::RecordTreeModel</name>
    <message numerus="yes">
        <source>%1
%2 parameters, %n block(s)</source>
        <translation>
            <numerusform>%1
%2 parameters, %n block</numerusform>
            <numerusform>%1
%2 parameters, %n blocks</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::RecoveryController</name>
    <message numerus="yes">
        <source>%1, %n step(s)</source>
        <translation>
            <numerusform>%1, %n step</numerusform>
            <numerusform>%1, %n steps</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%1 recovery, %n step(s)</source>
        <translation>
            <numerusform>%1 recovery, %n step</numerusform>
            <numerusform>%1 recovery, %n steps</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::RecoveryPage</name>
    <message numerus="yes">
        <source>%n run(s) in this session</source>
        <translation>
            <numerusform>%n run in this session</numerusform>
            <numerusform>%n runs in this session</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>secateur::TracesPage</name>
    <message numerus="yes">
        <source>%n sample(s)</source>
        <translation>
            <numerusform>%n sample</numerusform>
            <numerusform>%n samples</numerusform>
        </translation>
    </message>
</context>
</TS>
