using System.Collections.Concurrent;
using System.Linq.Expressions;
using System.Reflection;
using System.Reflection.Emit;
using Orleans;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// Emits, once per process and grain interface, a class derived from <see cref="GrainReference"/> that implements it, and for each
/// method a class derived from <see cref="Call"/>. They live in an assembly of their own that may see internal types of the
/// interface's assembly and of this one (<c>IgnoresAccessChecksTo</c>, as the framework's own DispatchProxy does).
/// </summary>
internal static class Proxies
{
    private static readonly ConcurrentDictionary<Type, Lazy<Func<Silo, GrainId, GrainReference>>> Built = new();
    private static readonly ConcurrentDictionary<Type, GrainInterfaceType> Names = new();
    private static readonly ConcurrentDictionary<(Type Interface, string Method), (GrainMethod Method, Lazy<Func<Call>> New)> Calls = new();

    private static readonly ConstructorInfo ReferenceConstructor = typeof(GrainReference)
        .GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic, [typeof(Silo), typeof(GrainId)])!;

    /// <exception cref="CodecNotFoundException">A parameter or a result is of a type that cannot cross grains.</exception>
    public static Func<Silo, GrainId, GrainReference> For(Type grainInterface) =>
        Built.GetOrAdd(grainInterface, static type => new(() => Emit(type))).Value;

    public static GrainInterfaceType NameOf(Type grainInterface) => Names.GetOrAdd(grainInterface, static type =>
        GrainInterfaceType.Create(type.GetCustomAttribute<AliasAttribute>()?.Alias ?? type.FullName ?? type.Name));

    public static GrainInterfaceType NameOfProxy(Type proxy) => InterfaceOf(proxy) is { } grainInterface ? NameOf(grainInterface) : default;

    /// <summary>Null for a reference without an interface.</summary>
    public static Type? InterfaceOf(Type proxy) => proxy.GetField("Interface")?.GetValue(null) as Type;

    /// <summary>A call without target and arguments, for one that comes from another silo.</summary>
    /// <exception cref="SerializerException">The interface has no such method.</exception>
    public static Call NewCall(Type grainInterface, string wireName)
    {
        For(grainInterface);
        if (!Calls.TryGetValue((grainInterface, wireName), out var known)) throw new SerializerException($"{grainInterface} has no method {wireName}");
        var call = known.New.Value();
        call.Method = known.Method;
        return call;
    }

    private static Func<Silo, GrainId, GrainReference> Emit(Type grainInterface)
    {
        if (!grainInterface.IsInterface || !typeof(IAddressable).IsAssignableFrom(grainInterface))
            throw new ArgumentException($"{grainInterface} is no grain interface");
        var methods = grainInterface.GetInterfaces().Append(grainInterface).SelectMany(i => i.GetMethods()).Where(m => m.IsAbstract).ToArray();
        foreach (var method in methods) Validate(method);

        var assembly = AssemblyBuilder.DefineDynamicAssembly(
            new($"DarkStorage.Engine.Proxies.{grainInterface.Name}.{Built.Count}"), AssemblyBuilderAccess.Run);
        OpenTo(assembly, methods, grainInterface);
        var module = assembly.DefineDynamicModule("Proxies");
        var proxy = module.DefineType($"{grainInterface.Name}Reference", TypeAttributes.Public | TypeAttributes.Sealed, typeof(GrainReference));
        proxy.AddInterfaceImplementation(grainInterface);
        proxy.DefineField("Interface", typeof(Type), FieldAttributes.Public | FieldAttributes.Static);

        var constructor = proxy.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, [typeof(Silo), typeof(GrainId)]);
        var il = constructor.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Ldarg_2);
        il.Emit(OpCodes.Call, ReferenceConstructor);
        il.Emit(OpCodes.Ret);

        var calls = new List<string>();
        for (var i = 0; i < methods.Length; i++) calls.Add(EmitMethod(module, proxy, methods[i], i).Name);

        var type = proxy.CreateType();
        type.GetField("Interface")!.SetValue(null, grainInterface);
        foreach (var (name, method) in calls.Zip(methods))
        {
            var call = module.GetType(name)!;
            var described = Describe(call, method);
            call.GetField("Method")!.SetValue(null, described);
            Calls.TryAdd((described.Interface, described.WireName), (described, new(() => Expression.Lambda<Func<Call>>(Expression.New(call)).Compile())));
        }

        return Activator(type);
    }

    private static void Validate(MethodInfo method)
    {
        var name = $"{method.DeclaringType}.{method.Name}";
        if (method.IsGenericMethodDefinition) throw new NotSupportedException($"{name}: the embedded engine has no generic grain methods");
        if (CallClass(method.ReturnType) is null) throw new NotSupportedException($"{name} returns {method.ReturnType}: a grain method returns a task");
        if (method.GetParameters().Count(p => p.ParameterType == typeof(CancellationToken)) > 1)
            throw new NotSupportedException($"{name} has more than one CancellationToken");
        var types = method.GetParameters().Select(p => p.ParameterType).Concat(method.ReturnType.GetGenericArguments());
        if (types.Select(type => Copiers.FindError(type, [])).FirstOrDefault(e => e is not null) is { } error)
            throw new CodecNotFoundException($"{error}, in {name}");
    }

    private static Type? CallClass(Type result)
    {
        if (result == typeof(Task)) return typeof(TaskCall);
        if (result == typeof(ValueTask)) return typeof(ValueTaskCall);
        if (!result.IsGenericType) return null;
        var open = result.GetGenericTypeDefinition();
        var call = open == typeof(Task<>) ? typeof(TaskCall<>)
            : open == typeof(ValueTask<>) ? typeof(ValueTaskCall<>)
            : open == typeof(IAsyncEnumerable<>) ? typeof(EnumerableCall<>) : null;
        return call?.MakeGenericType(result.GetGenericArguments());
    }

    private static TypeBuilder EmitMethod(ModuleBuilder module, TypeBuilder proxy, MethodInfo method, int index)
    {
        var parent = CallClass(method.ReturnType)!;
        var call = module.DefineType($"{method.Name}Call{index}", TypeAttributes.Public | TypeAttributes.Sealed, parent);
        var descriptor = call.DefineField("Method", typeof(GrainMethod), FieldAttributes.Public | FieldAttributes.Static);
        var parameters = method.GetParameters();
        var fields = parameters.Select((p, i) => p.ParameterType == typeof(CancellationToken)
            ? null
            : call.DefineField($"Argument{i}", p.ParameterType, FieldAttributes.Public)).ToArray();
        var constructor = call.DefineDefaultConstructor(MethodAttributes.Public);
        EmitBegin(call, parent, method, fields);
        EmitCopyArguments(call, parent, parameters, fields);
        EmitWriteArguments(call, parameters, fields);
        EmitReadArguments(call, parameters, fields);
        call.CreateType();

        // The proxy's method: make the call, give it its arguments, send it.
        var body = proxy.DefineMethod(
            $"{method.DeclaringType}.{method.Name}.{index}",
            MethodAttributes.Private | MethodAttributes.Virtual | MethodAttributes.Final | MethodAttributes.HideBySig | MethodAttributes.NewSlot,
            method.ReturnType,
            [.. parameters.Select(p => p.ParameterType)]);
        proxy.DefineMethodOverride(body, method);
        var il = body.GetILGenerator();
        il.Emit(OpCodes.Newobj, constructor);
        for (var i = 0; i < parameters.Length; i++)
        {
            il.Emit(OpCodes.Dup);
            il.Emit(OpCodes.Ldarg, i + 1);
            if (fields[i] is { } field) il.Emit(OpCodes.Stfld, field);
            else il.Emit(OpCodes.Call, typeof(Call).GetMethod(nameof(Call.SetCallerToken))!);
        }

        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldsfld, descriptor);
        il.Emit(OpCodes.Call, parent.GetMethod("Send", BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly)!);
        il.Emit(OpCodes.Ret);
        return call;
    }

    private static void EmitBegin(TypeBuilder call, Type parent, MethodInfo method, FieldBuilder?[] fields)
    {
        var begin = parent.GetMethod("Begin", BindingFlags.Instance | BindingFlags.Public)!;
        var body = call.DefineMethod(
            "Begin", MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, begin.ReturnType, [typeof(object)]);
        var il = body.GetILGenerator();
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Castclass, method.DeclaringType!);
        foreach (var field in fields)
        {
            il.Emit(OpCodes.Ldarg_0);
            if (field is not null) il.Emit(OpCodes.Ldfld, field);
            else il.Emit(OpCodes.Callvirt, typeof(Call).GetProperty(nameof(Call.CalleeToken))!.GetMethod!);
        }

        il.Emit(OpCodes.Callvirt, method);
        il.Emit(OpCodes.Ret);
        call.DefineMethodOverride(body, begin);
    }

    private static void EmitCopyArguments(TypeBuilder call, Type parent, ParameterInfo[] parameters, FieldBuilder?[] fields)
    {
        var body = call.DefineMethod(
            nameof(Call.CopyArguments),
            MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, typeof(void), [typeof(CopyContext)]);
        var il = body.GetILGenerator();
        for (var i = 0; i < parameters.Length; i++)
        {
            if (!IsCopied(parameters[i])) continue;
            var type = parameters[i].ParameterType;
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Ldfld, fields[i]!);
            il.Emit(OpCodes.Ldarg_1);
            il.Emit(OpCodes.Call, typeof(DeepCopy<>).MakeGenericType(type).GetMethod("Copy", [type, typeof(CopyContext)])!);
            il.Emit(OpCodes.Stfld, fields[i]!);
        }

        il.Emit(OpCodes.Ret);
        call.DefineMethodOverride(body, parent.GetMethod(nameof(Call.CopyArguments))!);
    }

    private static void EmitWriteArguments(TypeBuilder call, ParameterInfo[] parameters, FieldBuilder?[] fields)
    {
        var il = Override(call, nameof(Call.WriteArguments), typeof(WireWriter));
        for (var i = 0; i < parameters.Length; i++)
        {
            if (fields[i] is not { } field) continue;
            var type = parameters[i].ParameterType;
            il.Emit(OpCodes.Ldarg_1);
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Ldfld, field);
            il.Emit(OpCodes.Call, typeof(Wire<>).MakeGenericType(type).GetMethod("Write", [typeof(WireWriter), type])!);
        }

        il.Emit(OpCodes.Ret);
    }

    private static void EmitReadArguments(TypeBuilder call, ParameterInfo[] parameters, FieldBuilder?[] fields)
    {
        var il = Override(call, nameof(Call.ReadArguments), typeof(WireReader));
        for (var i = 0; i < parameters.Length; i++)
        {
            il.Emit(OpCodes.Ldarg_0);
            if (fields[i] is not { } field)
            {
                il.Emit(OpCodes.Call, typeof(Call).GetMethod(nameof(Call.ExpectToken))!);
                continue;
            }

            il.Emit(OpCodes.Ldarg_1);
            il.Emit(OpCodes.Call, typeof(Wire<>).MakeGenericType(parameters[i].ParameterType).GetMethod("Read", [typeof(WireReader)])!);
            il.Emit(OpCodes.Stfld, field);
        }

        il.Emit(OpCodes.Ret);
    }

    private static ILGenerator Override(TypeBuilder call, string name, Type parameter)
    {
        var body = call.DefineMethod(name, MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, typeof(void), [parameter]);
        call.DefineMethodOverride(body, typeof(Call).GetMethod(name)!);
        return body.GetILGenerator();
    }

    private static bool IsCopied(ParameterInfo parameter) =>
        !parameter.IsDefined(typeof(ImmutableAttribute))
        && !(bool)typeof(DeepCopy<>).MakeGenericType(parameter.ParameterType).GetProperty("IsImmutable")!.GetValue(null)!;

    private static GrainMethod Describe(Type call, MethodInfo method)
    {
        var parameters = method.GetParameters();
        return new(method.DeclaringType!, method)
        {
            CopiesArguments = parameters.Any(IsCopied),
            Arguments = [.. parameters.Select((_, i) => call.GetField($"Argument{i}"))],
        };
    }

    private static Func<Silo, GrainId, GrainReference> Activator(Type proxy)
    {
        var method = new DynamicMethod("New", typeof(GrainReference), [typeof(Silo), typeof(GrainId)], typeof(Proxies).Module, true);
        var il = method.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Newobj, proxy.GetConstructor([typeof(Silo), typeof(GrainId)])!);
        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<Silo, GrainId, GrainReference>>();
    }

    private static void OpenTo(AssemblyBuilder assembly, MethodInfo[] methods, Type grainInterface)
    {
        var assemblies = new HashSet<Assembly> { typeof(Proxies).Assembly };
        AddAll(grainInterface);
        foreach (var method in methods)
        {
            AddAll(method.DeclaringType!);
            AddAll(method.ReturnType);
            foreach (var parameter in method.GetParameters()) AddAll(parameter.ParameterType);
        }

        var attribute = typeof(System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute).GetConstructor([typeof(string)])!;
        foreach (var name in assemblies.Select(a => a.GetName().Name!))
            assembly.SetCustomAttribute(new(attribute, [name]));

        void AddAll(Type type)
        {
            assemblies.Add(type.Assembly);
            if (type.HasElementType) AddAll(type.GetElementType()!);
            foreach (var argument in type.GetGenericArguments()) AddAll(argument);
        }
    }
}
