using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Orleans.Serialization;

namespace DarkStorage.Engine;

internal static partial class Codecs
{
    private const int ReservedMax = 1024;   // a count is believed for so many elements; beyond them the collection grows as they come

    private static readonly StringComparer[] TextComparers =
        [StringComparer.Ordinal, StringComparer.OrdinalIgnoreCase, StringComparer.InvariantCulture, StringComparer.InvariantCultureIgnoreCase];

    /// <summary>0 for the default comparer, else which one of text. No other can cross, not within a silo either.</summary>
    public static int IndexOfComparer<T>(object comparer, object usual)
    {
        if (ReferenceEquals(comparer, usual) || comparer.Equals(usual)) return 0;
        var index = Array.FindIndex(TextComparers, c => c.Equals(comparer));
        if (index < 0) throw new CodecNotFoundException($"A collection of {typeof(T)} is compared by a {comparer.GetType()}, which cannot cross grains");
        return index + 1;
    }

    private static void WriteComparer<T>(WireWriter writer, object comparer, object usual) => writer.Byte((byte)IndexOfComparer<T>(comparer, usual));

    private static TComparer ReadComparer<TComparer>(WireReader reader, TComparer usual)
        where TComparer : class
    {
        var index = reader.Byte();
        if (index == 0) return usual;
        if (index > TextComparers.Length || TextComparers[index - 1] is not TComparer comparer)
            throw new SerializerException("A collection's comparer is unknown");
        return comparer;
    }

    private static int Reserve(int count) => Math.Min(count, ReservedMax);

    private static Codec<T[]> ArrayOf<T>() => new ArrayCodec<T>();

    private static Codec<List<T>> ListOf<T>() => new CollectionCodec<List<T>, T>(
        (_, _) => { }, (_, count) => new(Reserve(count)), list => list.Count, (list, item) => list.Add(item), 16);

    private static Codec<Queue<T>> QueueOf<T>() => new CollectionCodec<Queue<T>, T>(
        (_, _) => { }, (_, count) => new(Reserve(count)), queue => queue.Count, (queue, item) => queue.Enqueue(item), 16);

    private static Codec<HashSet<T>> HashSetOf<T>() => new CollectionCodec<HashSet<T>, T>(
        (writer, set) => WriteComparer<T>(writer, set.Comparer, EqualityComparer<T>.Default),
        (reader, _) => new(ReadComparer<IEqualityComparer<T>>(reader, EqualityComparer<T>.Default)),
        set => set.Count, (set, item) => { if (!set.Add(item)) throw new SerializerException("An element is there twice"); }, 24);

    private static Codec<Dictionary<TKey, TValue>> DictionaryOf<TKey, TValue>() where TKey : notnull =>
        new CollectionCodec<Dictionary<TKey, TValue>, KeyValuePair<TKey, TValue>>(
            (writer, map) => WriteComparer<TKey>(writer, map.Comparer, EqualityComparer<TKey>.Default),
            (reader, _) => new(ReadComparer<IEqualityComparer<TKey>>(reader, EqualityComparer<TKey>.Default)),
            map => map.Count, (map, pair) => map.Add(pair.Key, pair.Value), 24);

    private static Codec<SortedDictionary<TKey, TValue>> SortedDictionaryOf<TKey, TValue>() where TKey : notnull =>
        new CollectionCodec<SortedDictionary<TKey, TValue>, KeyValuePair<TKey, TValue>>(
            (writer, map) => WriteComparer<TKey>(writer, map.Comparer, Comparer<TKey>.Default),
            (reader, _) => new(ReadComparer<IComparer<TKey>>(reader, Comparer<TKey>.Default)),
            map => map.Count, (map, pair) => map.Add(pair.Key, pair.Value), 48);

    private static Codec<ReadOnlyMemory<T>> ReadOnlyMemoryOf<T>() => new SimpleCodec<ReadOnlyMemory<T>>(
        static (w, v) => Wire<T[]>.Write(w, v.ToArray()), static r => Wire<T[]>.Read(r));

    private static Codec<Memory<T>> MemoryOf<T>() => new SimpleCodec<Memory<T>>(
        static (w, v) => Wire<T[]>.Write(w, v.ToArray()), static r => Wire<T[]>.Read(r));

    private static Codec<ImmutableArray<T>> ImmutableArrayOf<T>() => new SimpleCodec<ImmutableArray<T>>(
        static (w, v) => WriteItems(w, v.IsDefault ? null : v.Length, v.IsDefault ? [] : v),
        static r => ReadItems<T>(r) is { } items ? [.. items] : default);

    private static Codec<ImmutableList<T>> ImmutableListOf<T>() => new SimpleCodec<ImmutableList<T>>(
        static (w, v) => WriteItems(w, v?.Count, v ?? []),
        static r => ReadItems<T>(r) is { } items ? [.. items] : null!);

    private static Codec<ImmutableHashSet<T>> ImmutableHashSetOf<T>() => new SimpleCodec<ImmutableHashSet<T>>(
        static (w, v) =>
        {
            WriteItems(w, v?.Count, v ?? []);
            if (v is not null) WriteComparer<T>(w, v.KeyComparer, EqualityComparer<T>.Default);
        },
        static r => ReadItems<T>(r) is { } items
            ? ImmutableHashSet.CreateRange(ReadComparer<IEqualityComparer<T>>(r, EqualityComparer<T>.Default), items)
            : null!);

    private static Codec<ImmutableDictionary<TKey, TValue>> ImmutableDictionaryOf<TKey, TValue>() where TKey : notnull =>
        new SimpleCodec<ImmutableDictionary<TKey, TValue>>(
            static (w, v) =>
            {
                WriteItems(w, v?.Count, v ?? []);
                if (v is null) return;
                WriteComparer<TKey>(w, v.KeyComparer, EqualityComparer<TKey>.Default);
                WriteComparer<TValue>(w, v.ValueComparer, EqualityComparer<TValue>.Default);
            },
            static r => ReadItems<KeyValuePair<TKey, TValue>>(r) is { } items
                ? ImmutableDictionary.CreateRange(
                    ReadComparer<IEqualityComparer<TKey>>(r, EqualityComparer<TKey>.Default),
                    ReadComparer<IEqualityComparer<TValue>>(r, EqualityComparer<TValue>.Default), items)
                : null!);

    private static Codec<ImmutableSortedDictionary<TKey, TValue>> ImmutableSortedDictionaryOf<TKey, TValue>() where TKey : notnull =>
        new SimpleCodec<ImmutableSortedDictionary<TKey, TValue>>(
            static (w, v) =>
            {
                WriteItems(w, v?.Count, v ?? ImmutableSortedDictionary<TKey, TValue>.Empty);
                if (v is null) return;
                WriteComparer<TKey>(w, v.KeyComparer, Comparer<TKey>.Default);
                WriteComparer<TValue>(w, v.ValueComparer, EqualityComparer<TValue>.Default);
            },
            static r => ReadItems<KeyValuePair<TKey, TValue>>(r) is { } items
                ? ImmutableSortedDictionary.CreateRange(
                    ReadComparer<IComparer<TKey>>(r, Comparer<TKey>.Default),
                    ReadComparer<IEqualityComparer<TValue>>(r, EqualityComparer<TValue>.Default), items)
                : null!);

    private static Codec<T?> NullableOf<T>() where T : struct => new SimpleCodec<T?>(
        static (w, v) =>
        {
            w.Byte(v.HasValue ? (byte)1 : (byte)0);
            if (v.HasValue) Wire<T>.Write(w, v.GetValueOrDefault());
        },
        static r => r.Byte() == 0 ? null : Wire<T>.Read(r));

    /// <summary>The items of any other immutable array would be written just so, one by one: too slow for what is content.</summary>
    private static void WriteNumbers(WireWriter writer, ImmutableArray<byte> value)
    {
        writer.Byte(value.IsDefault ? WireHeader.Null : WireHeader.Here);
        if (value.IsDefault) return;
        writer.Varint((ulong)value.Length);
        writer.Numbers(value.AsSpan());
    }

    private static ImmutableArray<byte> ReadNumbers(WireReader reader)
    {
        if (reader.Byte() == WireHeader.Null) return default;
        var bytes = new byte[reader.Count(1)];
        reader.Numbers(bytes);
        return ImmutableCollectionsMarshal.AsImmutableArray(bytes);
    }

    private static void WriteItems<T>(WireWriter writer, int? count, IEnumerable<T> items)
    {
        writer.Byte(count is null ? WireHeader.Null : WireHeader.Here);
        if (count is null) return;
        writer.Enter();
        writer.Varint((ulong)count);
        foreach (var item in items) Wire<T>.Write(writer, item);
        writer.Leave();
    }

    private static List<T>? ReadItems<T>(WireReader reader)
    {
        if (reader.Byte() == WireHeader.Null) return null;
        reader.Enter();
        var count = reader.Count(Unsafe.SizeOf<T>() + 16);
        var items = new List<T>(Reserve(count));
        for (var i = 0; i < count; i++) items.Add(Wire<T>.Read(reader));
        reader.Leave();
        return items;
    }

    private sealed class BytesCodec : ObjectCodec<byte[]>
    {
        protected override void WriteContent(WireWriter writer, byte[] value)
        {
            writer.Varint((ulong)value.Length);
            writer.Bytes(value);
        }

        protected override byte[] ReadContent(WireReader reader, int place)
        {
            var bytes = new byte[reader.Count(1)];   // a new one when empty too: ToArray would share it
            reader.Take(bytes.Length).CopyTo(bytes);
            reader.Register(place, bytes);
            return bytes;
        }
    }

    private sealed class ArrayCodec<T> : ObjectCodec<T[]>
    {
        // An array of a derived type is an array of this one, and crosses as such: as when it is copied within a silo.
        protected override void WriteContent(WireWriter writer, T[] value)
        {
            writer.Varint((ulong)value.Length);
            foreach (var item in value) Wire<T>.Write(writer, item);
        }

        protected override T[] ReadContent(WireReader reader, int place)
        {
            var array = new T[reader.Count(Unsafe.SizeOf<T>())];
            reader.Register(place, array);
            for (var i = 0; i < array.Length; i++) array[i] = Wire<T>.Read(reader);
            return array;
        }
    }

    /// <summary>The comparer if it has one, the count, the elements.</summary>
    private sealed class CollectionCodec<TCollection, T>(
        Action<WireWriter, TCollection> writeHead, Func<WireReader, int, TCollection> create,
        Func<TCollection, int> count, Action<TCollection, T> add, int overhead) : ObjectCodec<TCollection>
        where TCollection : class, IEnumerable<T>
    {
        protected override void WriteContent(WireWriter writer, TCollection value)
        {
            writer.Varint((ulong)count(value));
            writeHead(writer, value);
            foreach (var item in value) Wire<T>.Write(writer, item);
        }

        protected override TCollection ReadContent(WireReader reader, int place)
        {
            var items = reader.Count(Unsafe.SizeOf<T>() + overhead);
            var collection = create(reader, items);
            reader.Register(place, collection);
            for (var i = 0; i < items; i++) add(collection, Wire<T>.Read(reader));
            return collection;
        }
    }
}
